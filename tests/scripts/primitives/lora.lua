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
    assert(off(model:delta(before):get(name), delta:get(name)) < 1e-5)
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
  assert(off(sum:delta(model):get(up .. ".weight"), delta:get(up .. ".weight")) < 1e-5)
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
