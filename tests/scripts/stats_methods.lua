-- no twin: the methods and scores under test are Lua's alone
-- What defines each method that stands on statistics: Wanda's scores, Fisher and RegMean merges, SSU and MIGU.
local adapt = require "lota.adapt"
local lota = require "lota"
local merge = require "lota.merge"
local options = require "lota.options"
local scores = require "lota.scores"
local tasks = require "lota.tasks"
local test = require "lota.test"

local model = lota.model.init("tiny", { seed = 1 })
local base, fingerprint = model:snapshot(), model:fingerprint()
local first = tasks.open("mirror", { train = 32, test = 8 })
local second = tasks.open("nines", { train = 32, test = 8 })
local quick = { steps = 3, lr = 1e-3, batch = 4, max_len = 64, max_prompt = 32 }
local Q, DOWN = "model.layers.0.self_attn.q_proj.weight", "model.layers.1.mlp.down_proj.weight"
local NORM = "model.norm.weight"

local function with(more)
  return options.with(quick, more)
end

local function stream(task)
  local examples = lota.data.examples(model, task.train, { max_len = 64, max_prompt = 32 })
  return lota.data.batches(examples, { size = 4, seed = 1 })
end

--- The largest difference, over the largest magnitude of the second.
local function apart(a, b)
  return (a - b):abs():max():item() / b:abs():max():item()
end

--- `model` with other weights at some parameters.
local function changed(seed, size)
  local other, rng = model:clone(), lota.rng(seed)
  for _, name in ipairs { Q, DOWN, NORM } do
    local w = other:param(name)
    other:set_param(name, w + lota.randn(w:shape(), { rng = rng }) * size)
  end
  return other
end

test.case(
  "wanda is the weight times the norm of its input, from batches or statistics, and half of each row is kept",
  function()
    local s = scores.wanda(model, stream(first), { limit = 2 })
    local stats = lota.stats.collect(model, stream(first), { input_norm = true, limit = 2 })
    for _, name in ipairs { Q, DOWN } do
      local w, norm = model:param(name), stats:get("input_norm", name)
      test.equal(s:of(name):shape(), w:shape())
      -- One row and one column by hand.
      test.near(apart(s:of(name):select(1, { 3 }), w:select(1, { 3 }):abs() * norm), 0, 1e-6)
      test.near(apart(s:of(name):select(2, { 5 }), w:select(2, { 5 }):abs() * norm:totable()[5]), 0, 1e-6)
    end
    test.equal((scores.wanda(model, stats) - s):norm(), 0)
    local other = changed(5, 0.1)
    test.raises(function()
      scores.wanda(other, stats)
    end, "of other weights than the model has")
    test.equal(#scores.wanda(other, stats, { any_weights = true }):names(), #s:names())
    test.equal(scores.wanda(model, stats, { params = Q }):names(), { Q })
    local mask = lota.mask.from_scores(s, { density = 0.5, scope = "row" })
    local each = mask:tensor(Q):to("f32"):sum(2)
    test.equal(
      { each:min():item(), each:max():item() },
      { model:param(Q):shape()[2] / 2, model:param(Q):shape()[2] / 2 }
    )
  end
)

local a, b = changed(1, 0.1), changed(2, 0.1)
local data = { stream(first):epoch(), stream(second):epoch() }
local function gathered(of, batches)
  return lota.stats.collect(of, batches, { gram = true, fisher = true })
end
local of_a, of_b = gathered(a, data[1]), gathered(b, data[2])

test.case("equal models give the same model back", function()
  local again, clone = gathered(model, data[2]), model:clone()
  local mine = gathered(model, data[1])
  test.equal(merge.fisher({ model, clone }, { mine, again }):fingerprint(), fingerprint)
  test.equal(merge.regmean({ model, clone }, { mine, again }):fingerprint(), fingerprint)
end)

test.case("equal information is the mean, one that dominates is its model, none at all is the mean too", function()
  local f = of_a:fisher()
  local mean = merge.fisher({ a, b }, { f, f })
  test.near(apart(mean:param(Q), (a:param(Q) + b:param(Q)) / 2), 0, 1e-6)
  local mostly = merge.fisher({ a, b }, { f * 0 + 1e-9, f * 0 + 1 }, { floor = 1e-12 })
  test.near(apart(mostly:param(Q), b:param(Q)), 0, 1e-6)
  local none = merge.fisher({ a, b }, { f * 0, f * 0 })
  test.near(apart(none:param(DOWN), (a:param(DOWN) + b:param(DOWN)) / 2), 0, 1e-6)
end)

test.case("a Fisher merge is the mean weighted entry by entry", function()
  local merged = merge.fisher({ a, b }, { of_a, of_b }, { floor = 1e-12, weights = { 1, 3 } })
  for _, name in ipairs { Q, DOWN, NORM } do
    local f, g = of_a:get("fisher", name), of_b:get("fisher", name)
    local floor = 1e-12 * (f:mean():item() + g:mean():item()) / 2
    f, g = f:maximum(floor), g:maximum(floor) * 3
    test.near(apart(merged:param(name), (a:param(name) * f + b:param(name) * g) / (f + g)), 0, 1e-5)
  end
end)

--- Σ tr((W_i - W) G_i (W_i - W)ᵀ), which is Σ ‖X_i W_iᵀ - X_i Wᵀ‖².
local function loss(w, name, alpha)
  local sum = 0
  for i, of in ipairs { a, b } do
    local gram = ({ of_a, of_b })[i]:get("gram", name):to "f64"
    local eye = lota.eye(gram:shape()[1]):to "f64"
    gram = gram * alpha + gram * eye * (1 - alpha)
    local d = (of:param(name) - w):to "f64"
    sum = sum + (d:matmul(gram) * d):sum():item()
  end
  return sum
end

test.case("RegMean minimises the distance of the outputs: every other weight is further", function()
  for _, alpha in ipairs { 0.9, 1.0 } do
    local merged = merge.regmean({ a, b }, { of_a, of_b }, { alpha = alpha, ridge = 1e-9 })
    for _, name in ipairs { Q, DOWN } do
      local w, rng = merged:param(name), lota.rng(3)
      local least = loss(w, name, alpha)
      assert(least < loss((a:param(name) + b:param(name)) / 2, name, alpha))
      for _ = 1, 5 do
        assert(loss(w + lota.randn(w:shape(), { rng = rng }) * 0.01, name, alpha) > least)
      end
    end
    -- What is no linear layer is averaged.
    test.near(apart(merged:param(NORM), (a:param(NORM) + b:param(NORM)) / 2), 0, 1e-6)
  end
end)

test.case("RegMean without off-diagonals weights each input feature by its squares", function()
  local merged = merge.regmean({ a, b }, { of_a, of_b }, { alpha = 0, ridge = 0 })
  local function squares(stats)
    local gram = stats:get("gram", Q)
    return (gram * lota.eye(gram:shape()[1])):sum(1)
  end
  local f, g = squares(of_a), squares(of_b)
  test.near(apart(merged:param(Q), (a:param(Q) * f + b:param(Q) * g) / (f + g)), 0, 1e-5)
  local equal = merge.regmean({ a, b }, { of_a, of_b }, { alpha = 0, ridge = 0, per_token = true })
  f, g = f / of_a:tokens(), g / of_b:tokens()
  test.near(apart(equal:param(Q), (a:param(Q) * f + b:param(Q) * g) / (f + g)), 0, 1e-5)
end)

test.case("merges refuse statistics that do not fit", function()
  local function refused(text, f, ...)
    local given = table.pack(...)
    test.raises(function()
      f(table.unpack(given, 1, given.n))
    end, text)
  end
  for _, f in ipairs { merge.fisher, merge.regmean } do
    refused("a list of two models or more", f, { a }, { of_a })
    refused("each of the 2 models", f, { a, b }, { of_a })
    refused("of other weights than it has", f, { a, b }, { of_b, of_a })
    refused("must be a Stats", f, { a, b }, { of_a, 3 })
    refused("unknown option", f, { a, b }, { of_a, of_b }, { alhpa = 1 })
  end
  local norms = lota.stats.collect(a, data[1], { input_norm = true })
  refused("have no fisher", merge.fisher, { a, b }, { norms, of_b })
  refused("have no gram", merge.regmean, { a, b }, { norms, of_b })
  refused("each of the 2 models", merge.fisher, { a, b }, { of_a, of_b }, { weights = { 1 } })
  merge.fisher({ a, b }, { of_b, of_a }, { any_weights = true })
  test.equal(merge.models, lota.merge.models)
end)

test.case("ssu leaves the columns that its source needs most as they are, and trains all else", function()
  local importance = scores.wanda(model, stream(first))
  local untouched = model:clone()
  local result = adapt.ssu(model, second, with { source = { first }, protect = 0.25 })
  test.equal(model:hash { mask = result.protected }, untouched:hash { mask = result.protected })
  local rows, columns = table.unpack(model:param(Q):shape())
  local sums = result.protected:tensor(Q):to("f32"):sum(1)
  test.equal({ sums:min():item(), sums:max():item() }, { 0, rows })
  test.equal(sums:sum():item(), rows * math.floor(0.25 * columns + 0.5))
  -- Those with the largest sums of scores: none outside is larger than any inside.
  local totals, inside, outside = importance:of(Q):sum(1):totable(), math.huge, 0
  for i, n in ipairs(sums:totable()) do
    if n > 0 then
      inside = math.min(inside, totals[i])
    else
      outside = math.max(outside, totals[i])
    end
  end
  assert(inside >= outside * (1 - 1e-5))
  local moved = model:delta(base)
  test.equal(lota.mask.support(moved):disjoint(result.protected), true)
  assert(moved:of("model.embed_tokens.weight"):abs():max():item() > 0)
  test.equal(result.ticket:mask(), result.mask)
  model:restore(base)
  test.raises(function()
    adapt.ssu(model, second, quick)
  end, "option `source`")
  test.equal(model:fingerprint(), fingerprint)
end)

test.case("migu moves only the rows whose outputs are largest on the batch of the step", function()
  local seen, last, steps = nil, model:snapshot(), 0
  adapt.migu(
    model,
    first,
    with {
      threshold = 0.7,
      on_rows = function(rows)
        seen = rows
      end,
      on_step = function()
        local moved = model:delta(last, { params = "adaptable" })
        for _, name in ipairs(moved:names()) do
          local touched = moved:of(name):abs():sum(2):gt(0):to "f32"
          local chosen = seen[name]:squeeze(2)
          test.equal((touched * (1 - chosen)):sum():item(), 0)
          local share = chosen:mean():item()
          assert(share >= 0.29 and share <= 0.31 + 1 / chosen:count(), share)
        end
        assert(moved:nonzero() > 0)
        last, steps = model:snapshot(), steps + 1
      end,
    }
  )
  test.equal(steps, 3)
  model:restore(base)
  -- The rows are those with the largest mean magnitude of the very batch.
  local chosen
  adapt.migu(
    model,
    first,
    with {
      steps = 1,
      on_rows = function(rows)
        chosen = rows
      end,
    }
  )
  model:restore(base)
  local examples = lota.data.examples(model, first.train, { max_len = 64, max_prompt = 32, eos = true })
  local batch = lota.data.batches(examples, { size = 4, order = "shuffle", seed = 0 }):next()
  local magnitude =
    lota.stats.collect(model, batch, { output_magnitude = true, modules = Q }):get("output_magnitude", Q)
  local least = (magnitude + (1 - chosen[Q]:squeeze(2)) * 1e9):min():item()
  local most = (magnitude * (1 - chosen[Q]:squeeze(2))):max():item()
  assert(least > most, ("chosen rows have at least %g, others at most %g"):format(least, most))
  test.raises(function()
    adapt.migu(model, first, with { save_to = os.tmpname() .. ".run" })
  end, "save_to")
  test.equal(model:fingerprint(), fingerprint)
end)

test.case("weights of which there is no mean are refused", function()
  local f = of_a:fisher()
  for text, weights in pairs {
    ["nothing but 0"] = { 0, 0 },
    ["number 1 is -1"] = { -1, 1 },
    ["number 2 is inf"] = { 1, math.huge },
    ["number 1 is"] = { 0 / 0, 1 },
  } do
    test.raises(function()
      merge.fisher({ a, b }, { f, f }, { weights = weights })
    end, text)
  end
end)
