-- Merging: tickets, models and task vectors, built-in methods and one's own.
local lota = require "lota"
local test = require "lota.test"

local base = lota.model.init("tiny", { seed = 1 })
local fingerprint, before = base:fingerprint(), base:snapshot()
local name = "model.layers.0.mlp.up_proj.weight"

local function ticket(rows, factor)
  base:set_param(name, base:param(name):mul(factor))
  local made = lota.ticket.new(base, lota.mask.rows(base, { params = name, rows = rows }), { base = fingerprint })
  base:restore(before)
  return made
end

local a, b, c = ticket({ 1, 2 }, 2), ticket({ 3, 4 }, 3), ticket({ 2, 3 }, -1)

test.case("tickets that share nothing add up to what both make when applied", function()
  local both = lota.merge.tickets({ a, b }, { base = base })
  test.equal(both:entries(), a:entries() + b:entries())
  local on = both:apply(base)
  local merged = base:fingerprint()
  on:unapply()
  a:apply(base)
  b:apply(base)
  test.equal(base:fingerprint(), merged)
  base:restore(before)
  local model = lota.merge.models({ a, b }, { method = "disjoint", base = base })
  test.equal(model:fingerprint(), merged)
end)

test.case("masks that meet are refused, or it is said what to do", function()
  test.raises(function()
    lota.merge.tickets({ a, c }, { base = base })
  end, "are changed by more than one model, model 1 and model 2")
  local last = lota.merge.tickets({ a, c }, { base = base, overlap = "last" })
  test.equal(last:values(name):totable()[33], c:values(name):totable()[1])
  test.raises(function()
    lota.merge.tickets({ a, c }, { base = base, overlap = "lst" })
  end, "is not one of refuse, sum, mean, first, last, largest")
end)

test.case("a task vector is what a model less its base is", function()
  local tuned = base:clone()
  tuned:set_param(name, tuned:param(name):mul(2))
  local vector = lota.task_vector(tuned, base)
  local one = lota.merge.models({ vector }, { method = "task_arithmetic", base = base, weight = 0.5 })
  local other = lota.merge.models({ tuned }, { method = "task_arithmetic", base = base, weight = 0.5 })
  local far = (one:param(name) - other:param(name)):abs():max():item()
  test.near(far, 0, 1e-6)
  test.equal(
    lota.merge.models({ { model = tuned, weight = 1 } }, { method = "linear" }):fingerprint(),
    tuned:fingerprint()
  )
end)

test.case("a method of one's own is used like a built-in one", function()
  local seen = {}
  local function sum(tensors, info)
    seen[#seen + 1] = info.name
    local out = info.base
    for i, tensor in ipairs(tensors) do
      out = out + (tensor - info.base) * info.weight[i] * info.lambda
    end
    return out
  end
  local given = { { model = a, weight = 1 }, { model = c, weight = 0.5 } }
  local own = lota.merge.models(given, { method = sum, base = base, lambda = 0.5 })
  local built_in = lota.merge.models(given, { method = "task_arithmetic", base = base, lambda = 0.5 })
  test.near((own:param(name) - built_in:param(name)):abs():max():item(), 0, 1e-6)
  test.equal(#seen, #base:params())
  test.raises(function()
    lota.merge.models({ a }, {
      base = base,
      method = function()
        return 1
      end,
    })
  end, "must return a Tensor, and returned integer 1")
  test.raises(function()
    lota.merge.models({ a }, {
      base = base,
      method = function()
        error "of my own"
      end,
    })
  end, "of my own")
end)

test.case("settings go by layer and by name, and unknown ones are refused", function()
  local other = lota.model.init("tiny", { seed = 2 })
  local t = { { filter = "mlp", value = { 0, 1 } }, { value = 0 } }
  local m = lota.merge.models({ base, other }, { method = "slerp", base = base, t = t })
  local function equal(x, y)
    return (x - y):abs():max():item() < 1e-6
  end
  test.equal(equal(m:param(name), base:param(name)), true)
  local last = "model.layers.1.mlp.up_proj.weight"
  test.equal(equal(m:param(last), other:param(last)), true)
  test.raises(function()
    lota.merge.models({ a }, { method = "ties", base = base, weihgt = 1 })
  end, "ties has no parameter 'weihgt'; did you mean 'weight'?")
  test.raises(function()
    lota.merge.models({ a }, { method = "tise", base = base })
  end, 'did you mean "ties"?')
end)

test.case("tickets of another base are refused", function()
  local other = lota.model.init("tiny", { seed = 2 })
  test.raises(function()
    lota.merge.models({ a }, { method = "ties", base = other, weight = 1 })
  end, "another base")
  lota.merge.models({ a }, { method = "ties", base = other, weight = 1, any_base = true })
  local on = a:apply(base)
  test.raises(function()
    lota.merge.models({ b }, { method = "ties", base = base, weight = 1 })
  end, "has tickets applied")
  on:unapply()
end)

test.case("conflicts are counted", function()
  local rows = lota.merge.conflicts({ a, c }, { base = base })
  local all = rows[#rows]
  test.equal({ all.group, all.changed[1], all.changed[2], all.any }, { "all", 64, 64, 96 })
  test.equal({ all.shared, all.both[1] }, { 32, 32 })
  -- Doubling an entry and turning its sign pull to different sides.
  test.equal({ all.conflicts, all.opposed[1] }, { 32, 32 })
  test.near(all.cosines[1], -0.5, 0.2)
  local merged = lota.merge.models({ a, b }, { method = "disjoint", base = base })
  local text = lota.merge.report({ a, b }, { base = base, merged = merged, names = { "one", "two" } })
  assert(text:find("changed by one", 1, true) and text:find("norm of the merge", 1, true), text)
end)

test.case("a configuration may be a table, with methods of one's own", function()
  local run = lota.run.start(os.tmpname() .. ".run")
  base:save(run:path "a")
  lota.model.init("tiny", { seed = 2 }):save(run:path "b")
  local config = {
    merge_method = "middle",
    base_model = run:path "a",
    models = { { model = run:path "b", parameters = { share = 0.25 } } },
  }
  local function middle(tensors, info)
    return info.base + (tensors[1] - info.base) * info.share[1]
  end
  lota.merge.config(config, run:path "own", { methods = { middle = middle } })
  config.merge_method, config.models[1].parameters = "task_arithmetic", { weight = 0.25 }
  lota.merge.config(config, run:path "built-in")
  local own, built_in = lota.model.load(run:path "own"), lota.model.load(run:path "built-in")
  test.near((own:param(name) - built_in:param(name)):abs():max():item(), 0, 1e-6)
end)

test.case("a merged ticket says which base it is for, whatever was applied before", function()
  local model = base:clone()
  local on = a:apply(model, { any_base = true })
  local other = "model.layers.1.mlp.up_proj.weight"
  model:set_param(other, model:param(other):mul(3))
  on:unapply()
  test.raises(function()
    lota.merge.tickets({ a, b }, { base = model })
  end, "another base")
  local both = lota.merge.tickets({ a, b }, { base = model, any_base = true })
  test.equal(both:info().base, model:fingerprint())
  test.equal(lota.merge.tickets({ a, b }, { base = base }):info().base, fingerprint)
end)

test.case("a method that changes a model is refused", function()
  local model = base:clone()
  local function meddle(tensors)
    model:set_param(name, model:param(name):mul(2))
    return tensors[1]
  end
  test.raises(function()
    lota.merge.models({ model }, { method = meddle })
  end, "a merge")
end)

test.case("a merge with a method of the script is never resumed", function()
  local run = lota.run.start(os.tmpname() .. ".run")
  base:save(run:path "a")
  local config = { merge_method = "mine", models = { { model = run:path "a" } }, dtype = "float32" }
  local calls = 0
  local function stops(tensors)
    calls = calls + 1
    if calls == 4 then
      error "stopped"
    end
    return tensors[1]
  end
  test.raises(function()
    lota.merge.config(config, run:path "out", { methods = { mine = stops } })
  end, "stopped")
  local function twice(tensors)
    return tensors[1] * 2
  end
  lota.merge.config(config, run:path "out", { methods = { mine = twice } })
  lota.merge.config(config, run:path "clean", { methods = { mine = twice } })
  local out, clean = lota.model.load(run:path "out"), lota.model.load(run:path "clean")
  test.equal(out:fingerprint(), clean:fingerprint())
end)

test.case("weights and fractions that mean nothing are refused, and overflow is told by its tensor", function()
  local function refused(o, text)
    o.base = base
    test.raises(function()
      lota.merge.models({ a, b }, o)
    end, text)
  end
  refused(
    { method = "task_arithmetic", weight = 1e300 },
    "1e300 is more than float32 holds, as which merges are computed"
  )
  refused({ method = "ties", weight = 1, density = 2 }, 'parameter "density": must be from 0 to 1, not 2')
  refused({ method = "ties", weight = 1, density = -1 }, 'parameter "density": must be from 0 to 1, not -1')
  refused({ method = "breadcrumbs", weight = 1, gamma = 3 }, 'parameter "gamma": must be from 0 to 1, not 3')
  refused({ method = "task_arithmetic", weight = 1e38, lambda = 1e38 }, "tensor " .. name .. ": task_arithmetic makes")
  local bad = base:clone()
  bad:set_param(name, bad:param(name):mul(0 / 0))
  test.raises(function()
    lota.merge.models({ { model = bad, weight = 1 }, { model = base, weight = 1 } }, { method = "linear" })
  end, "holds NaN at entry 0")
  -- A method of one's own may mend such values, but not make them.
  local mended = lota.merge.models({ bad }, {
    method = function(tensors)
      return tensors[1]:where(tensors[1]:eq(tensors[1]), 0)
    end,
  })
  test.equal(mended:param(name):abs():sum():item(), 0)
  test.raises(function()
    lota.merge.models({ base }, {
      method = function(tensors)
        return tensors[1] * 1e39
      end,
    })
  end, "of inputs that are finite")
end)
