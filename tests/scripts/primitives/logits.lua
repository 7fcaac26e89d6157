-- Losses over logits, and the terms of cross-entropy.
local lota = require "lota"
local test = require "lota.test"

--- Batches of uneven lengths: one, two and three targets of growing length.
local function fresh(seed)
  local model = lota.model.init("tiny", { seed = seed or 1 })
  local batches, row = {}, 0
  for size = 1, 3 do
    local rows = {}
    for i = 1, size do
      row = row + 1
      rows[i] = { prompt = row .. "+1=", target = ("x"):rep(3 * row) .. row + 1 }
    end
    batches[size] = lota.data.batches(lota.data.examples(model, rows), { size = size }):next()
  end
  return model, batches
end

local function entropy(logits, rows)
  return -rows:pick(logits:log_softmax())
end

local function over(loss)
  return { on = "logits", fn = loss }
end

--- The loss and the weights after a step on `which` of the batches, by SGD.
local function stepped(options, which)
  local model, batches = fresh()
  local given = {}
  for i, index in ipairs(which) do
    given[i] = batches[index]
  end
  options.optimizer, options.momentum, options.lr = "sgd", 0, 0.5
  local trainer = lota.train.new(model, options)
  local info = trainer:step(given)
  return info.loss, lota.values.weights(model), info
end

local function same(a, b, which)
  local loss, weights, info = stepped(a, which)
  local other, theirs, expected = stepped(b, which)
  test.near(loss, other, 1e-5)
  test.near((weights - theirs):abs():max(), 0, 1e-5)
  test.near(info.grad_norm, expected.grad_norm, 1e-4)
end

test.case("cross-entropy written over logits is the built-in one, of uneven batches too", function()
  for _, reduction in ipairs { "mean", "sum" } do
    for _, which in ipairs { { 1 }, { 3 }, { 1, 3 }, { 2, 1, 3 } } do
      same({ reduction = reduction, loss = over(entropy) }, { reduction = reduction }, which)
    end
  end
  same({ loss = { entropy, on = "logits" } }, {}, { 2 })
  same({ loss = over(entropy), per_block = true }, { per_block = true }, { 3 })
  same({ loss = over(entropy), checkpoint = "block" }, {}, { 3 })
end)

test.case("a fit accumulates a loss over logits as it does cross-entropy", function()
  local function losses(loss)
    local model = lota.model.init("tiny", { seed = 2 })
    local rows = {}
    for i = 1, 7 do
      rows[i] = { prompt = i .. "=", target = ("y"):rep(i) }
    end
    local batches = lota.data.batches(lota.data.examples(model, rows), { size = 2, seed = 3 })
    local trainer = lota.train.new(model, { loss = loss, lr = 1e-3, accumulate = 2 })
    return trainer:fit(batches, { steps = 4 }).losses
  end
  local ours, theirs = losses(over(entropy)), losses()
  for i, loss in ipairs(theirs) do
    test.near(ours[i], loss, 1e-4)
  end
end)

test.case("rows say where the logits are from", function()
  local model, batches = fresh()
  local batch, labels, positions, sequences = batches[3], {}, {}, {}
  local function add(list, more)
    table.move(more:totable(), 1, #more:totable(), #list + 1, list)
  end
  local trainer = lota.train.new(model, {
    loss = over(function(logits, rows)
      test.equal(logits:shape(), { #rows, 257 })
      test.equal(rows:batch():tokens(), batch:tokens())
      add(labels, rows:labels())
      add(positions, rows:positions())
      add(sequences, rows:sequences())
      return entropy(logits, rows)
    end),
  })
  trainer:step(batch)
  local expected = { {}, {}, {} }
  for s, sequence in ipairs(batch:labels()) do
    for t, label in ipairs(sequence) do
      if label >= 0 then
        table.insert(expected[1], label)
        table.insert(expected[2], t - 1)
        table.insert(expected[3], s - 1)
      end
    end
  end
  test.equal({ labels, positions, sequences }, expected)
end)

test.case("the divergence from itself is 0 and moves nothing; from a teacher it falls", function()
  local model, batches = fresh()
  local function divergence(teacher)
    return over(function(logits, rows)
      return rows:logits(teacher):log_softmax():kl(logits:log_softmax())
    end)
  end
  local trainer = lota.train.new(model, { loss = divergence(model:clone()) })
  local gradients = trainer:gradients(batches[3])
  test.near(gradients:abs():max(), 0, 1e-6)
  test.near(lota.train.new(model, { loss = divergence(model:clone()), lr = 1e-9 }):step(batches).loss, 0, 1e-6)
  local teacher = fresh(7)
  trainer = lota.train.new(model, { loss = divergence(teacher), lr = 1e-3 })
  local before = teacher:fingerprint()
  local first = trainer:step(batches).loss
  for _ = 1, 20 do
    trainer:step(batches)
  end
  assert(first > 1e-3 and trainer:step(batches).loss < 0.5 * first)
  test.equal(teacher:fingerprint(), before)
end)

test.case("scores from gradients take a loss over logits", function()
  local model, batches = fresh()
  for _, kind in ipairs { "gradient", "fisher" } do
    local ours = lota.train.grad_scores(model, batches, { kind = kind, loss = over(entropy) })
    local theirs = lota.train.grad_scores(model, batches, { kind = kind })
    test.near((ours - theirs):norm() / theirs:norm(), 0, 1e-4)
  end
end)

test.case("what a loss over logits may not do is told, and changes nothing", function()
  local model, batches = fresh()
  local before = model:fingerprint()
  local function refused(loss, text)
    local trainer = lota.train.new(model, { loss = over(loss) })
    test.raises(function()
      trainer:step(batches)
    end, text)
    test.equal(model:fingerprint(), before)
  end
  refused(function(logits, rows)
    return entropy(logits, rows):mean()
  end, "one number a row")
  refused(function(logits)
    return logits
  end, "one number a row")
  refused(function()
    return 3
  end, "must return a Tensor computed from logits, and returned")
  refused(function(_, rows)
    return lota.ones { #rows }
  end, "does not depend on logits")
  refused(function(logits, rows)
    logits:mul_(2)
    return entropy(logits, rows)
  end, "changed logits in place")
  refused(function(logits, rows)
    return entropy(logits, rows) + model:param("model.norm.weight"):sum()
  end, "depends on the weights of the model being trained")
  refused(function(logits, rows)
    return entropy(logits, rows) + entropy(rows:logits(model), rows)
  end, "depends on the weights of the model being trained")
  refused(function(logits, rows)
    model:set_param("model.norm.weight", lota.ones { 1 })
    return entropy(logits, rows)
  end, "cannot be changed while")
  refused(function(_, rows)
    return rows:pick(lota.ones { #rows + 1, 257 })
  end, "rows and at least")
  refused(function()
    error "mine"
  end, "mine")
  local function option(loss, text)
    test.raises(function()
      lota.train.new(model, { loss = loss })
    end, text)
  end
  option(3, 'must be function(logp, batch), or {on = "logits"')
  option({ on = "logits" }, "has no function")
  option({ on = "hidden", fn = entropy }, "is on 'logp' or on 'logits'")
  option({ over = "logits", fn = entropy }, "has no 'over'; it takes on, fn")
  same({
    loss = {
      on = "logp",
      fn = function(logp)
        return -logp:mean()
      end,
    },
  }, {}, { 1, 2 })
end)

test.case("a loss that is no number is an error, and nothing is changed", function()
  local model, batches = fresh()
  local before = model:fingerprint()
  local losses = {
    over(function(logits, rows)
      return rows:pick(logits:log_softmax()):log() -- of numbers below 0
    end),
    function(logp)
      return logp:log():sum()
    end,
  }
  for _, loss in ipairs(losses) do
    for _, per_block in ipairs { false, true } do
      local trainer = lota.train.new(
        model,
        { mask = lota.mask.random(model, { density = 0.01 }), per_block = per_block, loss = loss }
      )
      test.raises(function()
        trainer:step(batches[3])
      end, "the loss is NaN, so no step is taken")
      test.equal(model:fingerprint(), before)
    end
  end
end)

test.case("label smoothing and z-loss are what their papers say", function()
  local smoothing, z = 0.1, 1e-2
  local function written(logits, rows)
    local logp = logits:log_softmax()
    local even = logp:mean(-1) * smoothing
    return -(rows:pick(logp) * (1 - smoothing)) - even + logits:logsumexp(-1):square() * z
  end
  for _, which in ipairs { { 3 }, { 1, 2, 3 } } do
    same({ label_smoothing = smoothing, z_loss = z }, { loss = over(written) }, which)
  end
  assert(stepped({ label_smoothing = smoothing }, { 3 }) ~= stepped({}, { 3 }))
  same({ label_smoothing = 0, z_loss = 0 }, {}, { 3 })
  local model = fresh()
  local function refused(options, text)
    test.raises(function()
      lota.train.new(model, options)
    end, text)
  end
  refused({ label_smoothing = 1 }, "label_smoothing must be at least 0 and below 1")
  refused({ label_smoothing = -0.1 }, "label_smoothing must be at least 0 and below 1")
  refused({ z_loss = -1 }, "z_loss must be a number of at least 0")
  refused({ z_loss = 1e-4, loss = over(entropy) }, "is a term of cross-entropy")
  refused({
    label_smoothing = 0.1,
    loss = function(logp)
      return -logp:mean()
    end,
  }, "is a term of cross-entropy")
end)
