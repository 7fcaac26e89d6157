-- Adapters of low rank: extracted, stored, applied, summed.
local lota = require "lota"
local test = require "lota.test"

local model = lota.model.init("tiny", { seed = 1 })
local before = model:snapshot()
local up, q = "model.layers.0.mlp.up_proj", "model.layers.1.self_attn.q_proj"

-- A change of rank 2 in one matrix, and of rank 1 in another.
local function change()
  local rng = lota.rng(3)
  local function add(name, rank)
    local weight = model:param(name .. ".weight")
    local rows, cols = weight:shape()[1], weight:shape()[2]
    local b, a = lota.randn({ rows, rank }, { rng = rng }), lota.randn({ rank, cols }, { rng = rng })
    model:set_param(name .. ".weight", weight + b:matmul(a):mul(0.01))
  end
  add(up, 2)
  add(q, 1)
  local delta = model:delta(before)
  model:restore(before)
  return delta
end

local delta = change()
local adapter = lota.lora.extract(delta, { rank = 2 })

local function off(a, b)
  return a:sub(b):abs():max():item()
end

test.case("a change of low rank is had whole, and a lower one says what it lacks", function()
  local info = adapter:info()
  test.equal({ info.rank, info.modules }, { 2, 2 })
  assert(info.error < 1e-5)
  local low = lota.lora.extract(delta, { rank = 1 })
  assert(low:info().error > 0.01)
  for _, m in ipairs(low:modules()) do
    test.equal(m.rank, 1)
    assert(m.error <= m.norm)
  end
end)

test.case("applied it makes the change", function()
  adapter:apply(model)
  for _, name in ipairs { up .. ".weight", q .. ".weight" } do
    assert(off(model:delta(before):of(name), delta:of(name)) < 1e-5)
  end
  adapter:apply(model, { scale = -1 })
  assert(model:delta(before):abs():max() < 1e-6)
  model:restore(before)
end)

test.case("it comes back from its folder, and sums are exact", function()
  local path = lota.run.start(os.tmpname() .. ".run"):path "adapter"
  adapter:save(path, { base = "some/model" })
  local read = lota.lora.load(path)
  test.equal(read:info().base, "some/model")
  local sum = lota.lora.sum({ adapter, read }, { weights = { 2, -1 } })
  test.equal(sum:info().rank, 4)
  assert(off(sum:delta(model):of(up .. ".weight"), delta:of(up .. ".weight")) < 1e-5)
end)

test.case("a ticket becomes an adapter with its base", function()
  local base = model:fingerprint()
  local mask = lota.mask.rows(model, { rows = { 1, 2 }, params = up .. ".weight" })
  model:set_param(up .. ".weight", model:param(up .. ".weight"):mul(2))
  local ticket = lota.ticket.new(model, mask, { base = base, method = "test" })
  model:restore(before)
  test.raises(function()
    lota.lora.extract(ticket, { rank = 2 })
  end, "a ticket is a change of its base model")
  local l = lota.lora.extract(ticket, { rank = 2, base = model })
  test.equal(#l:modules(), 1)
  assert(l:info().error < 1e-5)
end)

test.case("misuse says what to do", function()
  test.raises(function()
    lota.lora.extract(model:delta(before), { rank = 2 })
  end, "none of these parameters changed")
  test.raises(function()
    lota.lora.extract(delta, { params = "model.norm.weight" })
  end, "only the matrices of attention and MLP")
  test.raises(function()
    lota.lora.sum({ adapter }, { weights = { 1, 2 } })
  end, "must be as many as the adapters")
  test.raises(function()
    lota.lora.load "nowhere"
  end, "adapter_config.json")
end)

-- Factors that are trained.

local examples = lota.data.examples(model, { { prompt = "one", target = " two" }, { prompt = "a", target = "b" } })
local function batches()
  return lota.data.batches(examples, { size = 2 })
end
local function logits(m)
  return m:logits "a few words"
end
-- Steps of a training of `free`, large enough that B has moved away from zero.
local function trained(m, free)
  free.optimizer, free.lr = "adamw", 0.02
  local training = lota.train.new(m, free)
  training:fit(batches(), { steps = 3 })
  training:close()
  return m
end

test.case("training the factors leaves the shared weights, and merging gives the same model", function()
  local base = model:fingerprint()
  local m = lota.lora.attach(model, { rank = 2, alpha = 8, rslora = true, targets = { "q_proj", "*down*", "lm_head" } })
  assert(off(logits(m), logits(model)) == 0, "B begins at zero")
  trained(m, { params = "lora" })
  assert(off(logits(m), logits(model)) > 1e-3)
  test.equal(model:fingerprint(), base)
  local merged = lota.lora.merge(m)
  assert(off(logits(m), logits(merged)) < 1e-4)
  local folder = lota.run.start(os.tmpname() .. ".run"):path "merged"
  merged:save(folder)
  assert(off(logits(lota.model.load(folder)), logits(merged)) < 1e-5)
  -- The tied head became a weight of its own; the embedding is as it was.
  test.equal(#merged:params(), #model:params() + 1)
  test.equal(off(merged:param "model.embed_tokens.weight", model:param "model.embed_tokens.weight"), 0)
end)

test.case("factors of another scale make another model", function()
  local a = lota.lora.attach(model, { rank = 2, alpha = 16, seed = 1 })
  local b = lota.lora.attach(model, { rank = 2, alpha = 1, seed = 1 })
  assert(a:fingerprint() ~= b:fingerprint())
  test.equal(a:fingerprint(), lota.lora.attach(model, { rank = 2, alpha = 16, seed = 1 }):fingerprint())
  local ticket = lota.ticket.new(a, lota.mask.all(a, { params = "*.lora_B.weight" }), { base = a:fingerprint() })
  test.raises(function()
    ticket:apply(b)
  end, "made on another base")
  local folder = os.tmpname() .. ".training"
  local training = lota.train.new(a, { params = "lora" })
  training:save(folder)
  test.raises(function()
    lota.train.new(b, { params = "lora" }):load(folder)
  end, "the scales of its factors")
end)

test.case("a change of the embedding is none of a head that is the embedding", function()
  for _, target in ipairs { "embed_tokens", "lm_head" } do
    local m = lota.lora.attach(model, { rank = 2, targets = target })
    trained(m, { params = "lora" })
    local adapter = lota.lora.of(m)
    test.equal(adapter:info().vocabulary, true)
    local before = model:fingerprint()
    test.raises(function()
      adapter:apply(model)
    end, "tie_word_embeddings")
    test.equal(model:fingerprint(), before)
    local untied = model:untied()
    test.equal(off(logits(untied), logits(model)), 0)
    adapter:apply(untied)
    assert(off(logits(m), logits(untied)) < 1e-4, target)
  end
end)

test.case("settings of factors that mean nothing are refused", function()
  for _, wrong in ipairs {
    { { alpha = 0 }, "alpha must be a finite number above 0, not 0" },
    { { alpha = -4 }, "alpha must be a finite number above 0, not -4" },
    { { alpha = 1 / 0 }, "alpha must be a finite number above 0, not inf" },
    { { rank = 0 }, "'rank' must be at least 1, got 0" },
    { { rank = -2 }, "'rank' must be at least 1, got -2" },
    { { dropout = 1 }, "'dropout' must be at least 0 and below 1, got 1" },
    { { dropout = -0.5 }, "'dropout' must be at least 0 and below 1, got -0.5" },
  } do
    test.raises(function()
      lota.lora.attach(model, wrong[1])
    end, wrong[2])
  end
  local l = lota.lora.of(lota.lora.attach(model, { rank = 2 }))
  test.raises(function()
    lota.lora.sum({ l, l }, { weights = { 1, 0 / 0 } })
  end, "summed with a finite weight")
  test.raises(function()
    l:apply(model, { scale = 1 / 0 })
  end, "applied with a finite weight, not inf")
  local moved = lota.lora.of(trained(lota.lora.attach(model, { rank = 2 }), { params = "lora" }))
  local m = model:clone()
  test.raises(function()
    moved:apply(m, { scale = 1e300 })
  end, "infinite or NaN: its scale or the weight is too large; nothing was changed")
  test.equal(m:fingerprint(), model:fingerprint())
end)

test.case("a frozen A and a masked B keep every other bit", function()
  local m = lota.lora.attach(model, { rank = 4, targets = "up_proj" })
  local b = lota.mask.random(m, { density = 0.25, params = "*.lora_B.weight", seed = 1 })
  local outside, inside = m:hash({ outside = b }), m:hash({ mask = b })
  trained(m, { mask = b })
  test.equal(m:hash({ outside = b }), outside)
  assert(m:hash({ mask = b }) ~= inside)
end)

test.case("an adapter that is written and attached again is the same model", function()
  local m = trained(lota.lora.attach(model, { rank = 2, alpha = 3 }), { params = "lora" })
  local path = lota.run.start(os.tmpname() .. ".run"):path "attached"
  lota.lora.of(m):save(path)
  local again = lota.lora.attach(model, { adapter = lota.lora.load(path) })
  test.equal(again:fingerprint(), m:fingerprint())
  assert(off(logits(again), logits(m)) < 1e-5)
end)

test.case("misuse of factors says what to do", function()
  local m = lota.lora.attach(model)
  test.raises(function()
    m:save(os.tmpname())
  end, "lora.merge")
  test.raises(function()
    lota.lora.attach(m)
  end, "merge them into its weights")
  test.raises(function()
    lota.lora.of(model)
  end, "no factors of low rank")
  test.raises(function()
    lota.lora.attach(model, { rank = 0 })
  end, "rank")
  test.raises(function()
    lota.lora.attach(model, { dropout = 1 })
  end, "dropout")
  test.raises(function()
    lota.lora.attach(model, { targets = "q_porj" })
  end, "no module with a matrix is called")
  test.raises(function()
    lota.lora.attach(model, { adapter = adapter, rank = 2 })
  end, "is what the adapter says")
end)
