-- Training: losses and schedules in Lua, stopping, going on, and what cannot be done.
local lota = require "lota"
local test = require "lota.test"

local rows = {}
for i = 1, 24 do
  rows[i] = { prompt = i .. "+1=", target = tostring(i + 1) }
end

local function fresh(dtype)
  local model = lota.model.init("tiny", { seed = 1, dtype = dtype })
  local examples = lota.data.examples(model, rows)
  return model, lota.data.batches(examples, { size = 4, seed = 2 })
end

test.case("a loss written in Lua is the same as the built-in one", function()
  local model, batches = fresh()
  local trainer = lota.train.new(model, { optimizer = "sgd", momentum = 0, lr = 0.1, clip_norm = 1 })
  local expected = trainer:fit(batches, { steps = 4 }).losses

  local other, again = fresh()
  trainer = lota.train.new(other, {
    optimizer = "sgd",
    momentum = 0,
    lr = 0.1,
    clip_norm = 1,
    loss = function(logp, batch)
      test.equal(logp:shape()[1], batch:labelled())
      return logp:mean():mul(-1)
    end,
  })
  local losses = trainer:fit(again, { steps = 4 }).losses
  for i, loss in ipairs(expected) do
    test.near(losses[i], loss, 1e-4)
  end
  test.equal(expected[4] < expected[1], true)
end)

test.case("a loss may sum over sequences first", function()
  local model, batches = fresh()
  local trainer = lota.train.new(model, {
    lr = 1e-3,
    loss = function(logp, batch)
      local sums = batch:by_sequence(logp)
      test.equal(sums:shape(), { #batch })
      return sums:square():mean()
    end,
  })
  test.equal(trainer:step(batches:next()).loss > 0, true)
end)

test.case("SGD's dampening acts from the second step on, as in PyTorch", function()
  local P, lr = "model.layers.0.mlp.up_proj.weight", 0.25
  local model, batches = fresh()
  local start, batch = model:snapshot(), batches:next()
  local function moved(options, steps)
    local from = model:param(P)
    options.params, options.optimizer, options.lr = P, "sgd", lr
    local trainer = lota.train.new(model, options)
    for _ = 1, steps do
      trainer:step(batch)
    end
    return from - model:param(P)
  end
  -- The gradients at the start and after one step, each times lr.
  local first = moved({ momentum = 0 }, 1)
  local second = moved({ momentum = 0 }, 1)
  model:restore(start)
  -- b = g1, then b = 0.9 g1 + (1 - 0.75) g2; both are taken.
  local both = moved({ momentum = 0.9, dampening = 0.75 }, 2)
  local wanted = first + (first * 0.9 + second * 0.25)
  test.near((both - wanted):norm():item() / wanted:norm():item(), 0, 1e-4)
  test.equal((both - (first * 1.9 + second)):norm():item() / wanted:norm():item() > 0.1, true)
end)

test.case("a loss over several batches is that of one batch", function()
  local P = "model.layers.0.mlp.up_proj.weight"
  local function gradient(loss, which, reduction)
    local model = lota.model.init("tiny", { seed = 1 })
    local before = model:param(P)
    local function one(target)
      return lota.data.batches(lota.data.examples(model, { { prompt = "1+1=", target = target } }), { size = 1 }):next()
    end
    local short, long = one "2", one "a much longer target than that of the other"
    local options = { params = P, optimizer = "sgd", momentum = 0, lr = 1, loss = loss, reduction = reduction }
    local trainer = lota.train.new(model, options)
    local info = trainer:step(({ short, long, { short, long } })[which])
    return before - model:param(P), info.loss, { short:labelled(), long:labelled() }
  end
  --- How much of each batch's own gradient and loss is in those of both together.
  local function coefficients(loss, reduction)
    local function dot(x, y)
      return (x * y):sum():item()
    end
    local g1, l1, labelled = gradient(loss, 1, reduction)
    local g2, l2 = gradient(loss, 2, reduction)
    local g, l = gradient(loss, 3, reduction)
    local a, b, c, r, s = dot(g1, g1), dot(g1, g2), dot(g2, g2), dot(g1, g), dot(g2, g)
    local d = a * c - b * b
    local first, second = (r * c - s * b) / d, (a * s - b * r) / d
    test.near(l, first * l1 + second * l2, 1e-3)
    return first, second, labelled
  end
  local function sum(logp)
    return logp:neg():sum()
  end
  local function mean(logp)
    return logp:neg():mean()
  end
  local function adds_up(loss, reduction)
    local first, second = coefficients(loss, reduction)
    test.near(first, 1, 1e-3)
    test.near(second, 1, 1e-3)
  end
  local function averages(loss, reduction)
    local first, second, labelled = coefficients(loss, reduction)
    test.near(first, labelled[1] / (labelled[1] + labelled[2]), 1e-3)
    test.near(second, labelled[2] / (labelled[1] + labelled[2]), 1e-3)
  end
  adds_up(sum)
  averages(mean)
  averages(nil) -- cross-entropy
  -- Said, it holds whatever the loss is.
  adds_up(mean, "sum")
  averages(sum, "mean")
  -- A loss that is neither: the mean over sequences.
  local first, second = coefficients(function(logp, batch)
    return batch:by_sequence(logp):neg():mean()
  end)
  test.near(first, 0.5, 1e-3)
  test.near(second, 0.5, 1e-3)
end)

test.case("a loss that contains the model's own weights is refused", function()
  local P = "model.layers.0.mlp.up_proj.weight"
  local model, batches = fresh()
  local batch, before = batches:next(), model:fingerprint()
  local kept = model:param(P)
  local function penalised(penalty)
    local trainer = lota.train.new(model, {
      params = P,
      lr = 1e-3,
      loss = function(logp, seen)
        return logp:mean():neg() + penalty(logp, seen)
      end,
    })
    return trainer:step(batch)
  end
  local hidden = {
    function()
      return model:param(P):square():sum() * 1e-3
    end,
    function() -- read before the training began
      return kept:abs():sum() * 1e-3
    end,
    function() -- through several operations, beside other tensors
      return lota.cat({ lota.zeros { 1 }, lota.stack({ kept:flatten():narrow(1, 1, { len = 2 }) }):flatten() }):sum()
    end,
    function() -- in place
      local total = lota.zeros(kept:shape())
      total:add_(kept)
      return total:sum() * 1e-3
    end,
    function() -- through a condition
      return kept:gt(0):where(kept, 0):sum() * 1e-3
    end,
    function() -- through what the model says now
      return model:logp(batch):mean()
    end,
    function()
      return model:logits("1+1="):sum() * 1e-6
    end,
    function() -- as a variable of the script's own
      return kept:requires_grad():sum() * 1e-3
    end,
    function(logp)
      return (logp * lota.tensor(kept):sum()):sum() * 1e-3
    end,
  }
  for _, penalty in ipairs(hidden) do
    test.raises(function()
      penalised(penalty)
    end, "A penalty on the weights is the option penalty or weight_decay")
    test.raises(function()
      lota.train.grad_scores(model, batch, {
        loss = function(logp)
          return logp:mean():neg() + penalty(logp)
        end,
      })
    end, "x:detach()")
  end
  test.equal(model:fingerprint(), before)
  -- A constant that is meant, and the weights of another model.
  local other = model:clone()
  penalised(function()
    return model:param(P):detach():square():sum() * 1e-3
  end)
  penalised(function(logp)
    return (logp - other:logp(batch)):square():mean()
  end)
end)

test.case("values made of the weights inside of their loss are refused, and made before it are constants", function()
  local P = "model.layers.0.mlp.up_proj.weight"
  local model, batches = fresh()
  local batch = batches:next()
  local start, anchor, before = model:snapshot(), model:clone(), model:fingerprint()
  local mask = lota.mask.random(model, { density = 0.01 })
  local other = model:clone()
  local scored = lota.values.new(other, function(_, w)
    return w
  end)
  local function sum(scores)
    return scores:of(P):square():sum()
  end
  local hidden = {
    function()
      return sum(model:delta(start))
    end,
    function()
      return sum(lota.task_vector(start, model))
    end,
    function()
      return sum(lota.values.new(model, function(_, w)
        return w
      end))
    end,
    function()
      return lota.ticket.new(model, mask, { base = before, method = "example" }):values(P):sum()
    end,
    function()
      return sum(lota.task_vector(model:snapshot(), start))
    end,
    function()
      return model:clone():param(P):sum()
    end,
    function()
      return lota.merge.models({ model, other }, { method = "linear" }):param(P):sum()
    end,
    function()
      return sum(lota.train.grad_scores(model, batch))
    end,
    function()
      return lota.eval.perplexity(model, batch).loss
    end,
    function() -- numbers out of a tensor
      return model:param(P):square():sum():item() * 1e-3
    end,
    function()
      return lota.tensor(model:param(P):totable()):sum()
    end,
    function() -- through another model
      other:set_param(P, model:param(P))
      return other:param(P):sum()
    end,
    function() -- through scores of another model
      return sum(scored:map(function()
        return model:param(P)
      end))
    end,
  }
  local function penalised(penalty)
    lota.train.grad_scores(model, batch, {
      loss = function(logp)
        return logp:mean():neg() + penalty(logp)
      end,
    })
  end
  for i, penalty in ipairs(hidden) do
    local ok, why = pcall(penalised, penalty)
    test.equal({ i, ok }, { i, false })
    local told = tostring(why):find("A penalty on the weights is the option penalty or weight_decay", 1, true)
    test.equal({ i, told ~= nil or tostring(why) }, { i, true })
  end
  -- An anchor is made before the step.
  local drift = model:delta(anchor)
  penalised(function()
    return sum(drift) + anchor:param(P):square():sum()
  end)
  penalised(function()
    return model:param(P):detach():sum():item() * 1e-3
  end)
  penalised(function(logp)
    return sum(other:delta(anchor)) * logp:mean():item()
  end)
  -- After a loss, also one that failed, everything is free again.
  test.equal(model:delta(start):nonzero(), 0)
end)

test.case("a bad loss is an error, and changes nothing", function()
  local model, batches = fresh()
  local before = model:fingerprint()
  local function trying(loss, text)
    local trainer = lota.train.new(model, { lr = 1e-3, loss = loss })
    test.raises(function()
      trainer:step(batches:next())
    end, text)
    test.equal(model:fingerprint(), before)
  end
  trying(function()
    return 3
  end, "must return a Tensor")
  trying(function(logp)
    logp:mul_(2)
    return logp:mean():neg()
  end, "changed logp in place")
  trying(function(logp)
    return logp
  end, "take its mean or sum")
  trying(function()
    return lota.ones({ 1 }):sum()
  end, "does not depend on logp")
  trying(function()
    error "mine"
  end, "mine")
end)

test.case("schedules: by name, by function, with warm-up", function()
  local function rates(options)
    local model, batches = fresh()
    options.lr, options.steps, options.params = 1, 4, "model.norm.weight"
    options.optimizer, options.momentum = "sgd", 0
    local out = {}
    lota.train.new(model, options):fit(batches, {
      on_step = function(info)
        out[info.step] = info.lr
      end,
    })
    return out
  end
  test.equal(rates { schedule = "linear" }, { 1.0, 0.75, 0.5, 0.25 })
  test.equal(rates { warmup = 1 }, { 0.5, 1.0, 1.0, 1.0 })
  test.equal(
    rates {
      schedule = function(step, total)
        return step / total
      end,
    },
    { 0.25, 0.5, 0.75, 1.0 }
  )
  test.raises(function()
    rates {
      schedule = function()
        return "fast"
      end,
    }
  end, 'must return a number, and returned string "fast" for step 1')
  test.raises(function()
    rates {
      schedule = function(step)
        return step < 3 and 1 or -1
      end,
    }
  end, "the schedule gave -1 for step 3")
end)

test.case("only what is selected changes, with weight decay, in f32 and bf16", function()
  for _, dtype in ipairs { "f32", "bf16" } do
    local model, batches = fresh(dtype)
    local mask = lota.mask.random(model, { density = 0.05, seed = 1 })
    local frozen, free = model:hash { outside = mask }, model:hash { mask = mask }
    local trainer = lota.train.new(model, { mask = mask, optimizer = "adamw", lr = 1e-2, weight_decay = 0.1 })
    test.equal(trainer:info().entries, mask:count())
    trainer:fit(batches, { steps = 3 })
    test.equal(model:hash { outside = mask }, frozen)
    test.equal(model:hash { mask = mask } ~= free, true)
  end
end)

test.case("on_step ends a training, and the trainer is not free inside", function()
  local model, batches = fresh()
  local trainer = lota.train.new(model, { lr = 1e-3 })
  local seen = 0
  local out = trainer:fit(batches, {
    steps = 10,
    on_step = function(info)
      seen = seen + 1
      test.raises(function()
        trainer:step(batches)
      end, "")
      test.raises(function()
        trainer:info()
      end, "cannot be used from its own callback")
      test.raises(function()
        batches:next()
      end, "in use by a fit")
      return info.step < 2
    end,
  })
  test.equal({ seen, out.stopped, out.steps, out.last.step }, { 2, true, 2, 2 })
  trainer:close()
  test.raises(function()
    trainer:info()
  end, "was closed")
end)

test.case("a resumed training has the bits of one that was not interrupted", function()
  local function run(model, batches, steps, more)
    local trainer = lota.train.new(model, { optimizer = "adamw", lr = 1e-2, steps = 6, schedule = "cosine" })
    local options = { steps = steps }
    for name, value in pairs(more or {}) do
      options[name] = value
    end
    trainer:fit(batches, options)
    return model:fingerprint()
  end
  local whole = run(fresh())
  local dir = lota.run.start(os.tmpname() .. ".run"):dir()
  local model, batches = fresh()
  run(model, batches, 4, { save_to = dir, save_every = 2 })
  model, batches = fresh()
  test.equal(run(model, batches, 6, { save_to = dir, resume = true }), whole)
  model, batches = fresh()
  test.raises(function()
    run(model, batches, 2, { save_to = dir })
  end, "is there already: go on with it by resume = true")
end)

test.case("options that do not belong are refused", function()
  local model = fresh()
  local function refused(options, text)
    test.raises(function()
      lota.train.new(model, options)
    end, text)
  end
  refused({ optimizer = "adamw", alpha = 0.9 }, "'alpha' does not belong to adamw")
  refused({ optimizer = "adam" }, "did you mean 'adamw'")
  refused({ optimizer = "adamw", dampening = 0.1 }, "option 'dampening' does not belong to adamw, which has betas, eps")
  refused(
    { optimizer = "sgd", betas = { 0.9, 0.99 } },
    "option 'betas' does not belong to sgd, which has momentum, dampening"
  )
  refused({ optimizer = "sgd", dampening = 0.1, momentum = 0 }, "there is none")
  refused({ optimizer = "sgd", dampening = 0.1, nesterov = true }, "dampening of 0")
  refused({ optimizer = "sgd", momentum = 0 / 0 }, "must be a finite number")
  refused({ optimizer = "sgd", dampening = -5 }, "sgd: dampening must be from 0 to 1, not -5")
  for _, optimizer in ipairs { "sgd", "rmsprop" } do
    for _, momentum in ipairs { -0.1, 1, 7 } do
      refused(
        { optimizer = optimizer, momentum = momentum },
        "momentum must be at least 0 and below 1, not " .. momentum
      )
    end
  end
  for _, optimizer in ipairs { "adamw", "lion" } do
    refused({ optimizer = optimizer, betas = { 1, 0.9 } }, "the first of betas must be at least 0 and below 1, not 1")
    refused(
      { optimizer = optimizer, betas = { 0.9, -1 } },
      "the second of betas must be at least 0 and below 1, not -1"
    )
  end
  refused({ optimizer = "adamw", eps = -1 }, "eps must be at least 0, not -1")
  refused({ optimizer = "rmsprop", alpha = 1.5 }, "alpha must be at least 0 and below 1, not 1.5")
  for _, optimizer in ipairs { "sgd", "rmsprop", "adamw", "lion" } do
    refused({ optimizer = optimizer, weight_decay = -1 }, "weight_decay must be at least 0, not -1")
  end
  refused({ lr = -1 }, "the learning rate must be at least 0, not -1")
  refused({ lr = 1e300 }, "the learning rate 1e300 is more than float32 holds")
  refused({ steps = 0 }, "steps must be at least 1")
  refused({ steps = 2, warmup = 3 }, "warmup (3) is longer than the training (2 steps)")
  refused({ accumulate = 0 }, "must be at least 1")
  refused({ clip_norm = 0 }, "must be above 0")
  refused({ optimizer = "lion", betas = { 0.9 } }, "must be two numbers")
  refused({ mask = lota.mask.none(model) }, "nothing is selected")
  refused({ mask = lota.mask.all(model), params = "all" }, "exclude each other")
  refused({ schedule = "linear" }, "give steps")
  refused({ schedule = "linaer" }, "did you mean 'linear'")
  refused({ clip_norm = 1, per_block = true }, "per_block")
end)

test.case("scores from gradients: built in and gathered in Lua", function()
  local model, batches = fresh()
  local before = model:fingerprint()
  local fisher = lota.train.grad_scores(model, batches, { kind = "fisher" })
  local count = #batches:epoch()
  local mine = lota.train.grad_scores(model, batches, {
    kind = function(_, gradient, gathered)
      local square = gradient:square():mul(1 / count)
      return gathered and gathered:add(square) or square
    end,
  })
  test.equal(#fisher:names(), 14)
  test.near(mine:sum() / fisher:sum(), 1, 1e-4)
  test.equal(model:fingerprint(), before)
  local one = lota.train.grad_scores(model, batches:next(), { params = "model.norm.weight" })
  test.equal(one:names(), { "model.norm.weight" })
end)

test.case("a schedule that has ended is no training", function()
  local model, batches = fresh()
  local trainer = lota.train.new(model, { schedule = "linear", steps = 2, lr = 1e-3 })
  test.raises(function()
    trainer:fit(batches, { steps = 4 })
  end, "the linear schedule ends after 2 steps, and 4 are to be taken")
  test.equal(trainer:fit(batches).steps, 2)
end)
