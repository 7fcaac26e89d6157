-- Values: a number for each chosen entry of a model, dense or over a mask.
local lota = require "lota"
local test = require "lota.test"

local UP = "model.layers.0.mlp.up_proj.weight"
local model = lota.model.init("tiny", { seed = 1 })
local mask = lota.mask.random(model, { density = 0.02, seed = 3 })
local whole = lota.values.weights(model, { params = "*.mlp.*" })
local part = lota.values.weights(model, { mask = mask })

test.case("values over a mask are as short as it, and the numbers of its entries", function()
  test.equal(part:count(), mask:count())
  test.equal(part:mask(), mask)
  local dense = lota.values.weights(model)
  test.equal(dense:count(), model:entries())
  test.equal(dense:within(mask):of(UP), part:of(UP))
  test.equal((dense:within(mask) - part):norm(), 0)
  -- Their entries in rising order, and 0 elsewhere.
  local spread = part:dense()
  test.equal(spread:sum(), part:sum())
  test.equal((spread:within(mask) - part):norm(), 0)
  test.equal(lota.mask.support(spread) <= mask, true)
end)

test.case("values are equal where all their numbers are", function()
  assert(whole == whole * 1 and whole:equals(lota.values.weights(model, { params = "*.mlp.*" })))
  assert(whole ~= whole * 2 and whole ~= part and part == part:sub(0))
  local nan = part * (0 / 0)
  assert(nan ~= nan * 1)
end)

test.case("arithmetic is entry by entry, with numbers on either side", function()
  for _, v in ipairs { whole, part } do
    test.near((v + v):dot(v), 2 * v:norm() ^ 2, 1e-4)
    test.equal((2 * v - v - v):norm(), 0)
    test.equal((1 - v):count(), v:count())
    test.near((1 - v):sum(), v:count() - v:sum(), 1e-2)
    test.near((v ^ 2):sum(), v:norm() ^ 2, 1e-4)
    test.near(v:abs():sqrt():square():sum(), v:abs():sum(), 1e-2)
    test.equal((v / v:abs()):abs():mean(), 1)
    test.equal((v:sign() * v:abs() - v):norm(), 0)
    test.equal(v:maximum(0):min() >= 0 and v:minimum(0):max() <= 0, true)
    test.near((v:maximum(0) + v:minimum(0) - v):norm(), 0, 1e-7)
    test.near((1 / (v * 0 + 4)):mean(), 0.25, 1e-7)
    test.equal((2 ^ (v * 0 + 3)):max(), 8)
  end
end)

test.case("figures are those of all numbers together", function()
  local numbers = lota.values.full(mask, 0)
  local at = 0
  numbers = numbers:map(function(_, t)
    local n = t:shape()[1]
    local made = lota.arange(at, at + n - 1)
    at = at + n
    return made
  end)
  local n = mask:count()
  test.equal(numbers:min(), 0)
  test.equal(numbers:max(), n - 1)
  test.equal(numbers:sum(), n * (n - 1) / 2)
  test.equal(numbers:mean(), (n - 1) / 2)
  test.equal(numbers:quantile(0.5), (n - 1) / 2)
  test.near(numbers:quantile(0.1), 0.1 * (n - 1), 1e-3)
  test.equal(numbers:nonzero(), n - 1)
  test.equal(lota.mask.from_scores(numbers, { count = 3, largest = false }):count(), 3)
  test.equal(lota.mask.from_scores(numbers, { count = 3, largest = false }) <= mask, true)
  test.equal(lota.mask.from_scores(numbers, { density = 0.5 }):count(), math.floor(n / 2 + 0.5))
end)

test.case("values of different entries do not meet silently", function()
  test.raises(function()
    return whole + part
  end, "bring both to the same entries")
  test.raises(function()
    return part + lota.values.weights(model, { mask = lota.mask.random(model, { density = 0.02, seed = 4 }) })
  end, "within(mask)")
  test.raises(function()
    return part:dot(whole)
  end, "bring both to the same entries")
  test.raises(function()
    part:set(UP, lota.zeros { 3 })
  end, "must have shape")
  test.raises(function()
    part:quantile(1.5)
  end, "from 0 to 1")
end)

test.case("set changes the numbers of one parameter, and nothing that was computed before", function()
  local v = part * 1
  local before = v + 0
  v:set(UP, v:of(UP) * 0)
  test.equal(v:of(UP):abs():sum():item(), 0)
  test.equal((before - part):norm(), 0)
end)

test.case("files, tickets and masks give back what they were made of", function()
  local run = lota.run.start(os.tmpname() .. ".run")
  for i, v in ipairs { whole, part } do
    local path = run:path("v" .. i .. ".safetensors")
    v:save(path)
    local again = lota.values.load(path, { model = model })
    test.equal((again - v):norm(), 0)
    test.equal(again:mask(), v:mask())
  end
  local other = lota.model.init {
    model_type = "llama",
    vocab_size = 256,
    hidden_size = 16,
    intermediate_size = 32,
    num_hidden_layers = 2,
    num_attention_heads = 2,
    rope_theta = 10000,
    max_position_embeddings = 64,
    rms_norm_eps = 1e-6,
    hidden_act = "silu",
  }
  test.raises(function()
    lota.values.load(run:path "v1.safetensors", { model = other })
  end, "shape")
  local ticket = lota.ticket.from_values(part, { base = model:fingerprint(), method = "test" })
  test.equal((lota.values.of_ticket(ticket) - part):norm(), 0)
  test.equal(ticket:mask(), mask)
end)
