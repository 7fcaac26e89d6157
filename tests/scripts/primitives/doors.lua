-- Trainers opened to a method: gradients, updates, values, moments, selection, rates, groups, penalties.
local lota = require "lota"
local test = require "lota.test"

local rows = {}
for i = 1, 24 do
  rows[i] = { prompt = i .. "+1=", target = tostring(i + 1) }
end

local function fresh(dtype)
  local model = lota.model.init("tiny", { seed = 1, dtype = dtype })
  return model, lota.data.batches(lota.data.examples(model, rows), { size = 4, seed = 2 })
end

local kinds = {
  { "f32", nil, { optimizer = "adamw", lr = 1e-3, clip_norm = 0.5, schedule = "linear", warmup = 1, steps = 8 } },
  { "bf16", nil, { optimizer = "rmsprop", lr = 1e-4 } },
  { "f32", 0.02, { optimizer = "adamw", lr = 1e-3, weight_decay = 0.1 } },
  { "bf16", 0.02, { optimizer = "sgd", momentum = 0.9, lr = 0.1, keep_packed = true } },
}

local function each(work)
  for _, kind in ipairs(kinds) do
    local dtype, density, options = table.unpack(kind)
    local function make(more)
      local model, batches = fresh(dtype)
      local all = { mask = density and lota.mask.random(model, { density = density, seed = 3 }) }
      for _, from in ipairs { options, more or {} } do
        for key, value in pairs(from) do
          all[key] = value
        end
      end
      return lota.train.new(model, all), batches, model
    end
    work(make, dtype)
  end
end

test.case("an update by the gradients of a batch has the bits of a step", function()
  each(function(make)
    local stepped, batches, model = make()
    local updated, again, other = make()
    for _ = 1, 3 do
      local two = { batches:next(), batches:next() }
      local a = stepped:step(two)
      local b = updated:update(updated:gradients { again:next(), again:next() })
      test.equal({ a.step, a.loss, a.lr, a.grad_norm, a.tokens }, { b.step, b.loss, b.lr, b.grad_norm, b.tokens })
    end
    test.equal(model:hash(), other:hash())
    test.equal(stepped:info().tokens, updated:info().tokens)
  end)
end)

test.case("gradients change nothing, and those of one batch have the size of what is trained", function()
  each(function(make)
    local trainer, batches, model = make()
    local before = model:hash()
    local g = trainer:gradients(batches:next())
    test.equal(g:count(), trainer:info().entries)
    test.equal(model:hash(), before)
    test.equal(trainer:info().step, 0)
  end)
end)

test.case("values come back as they went in, and the optimizer keeps what it remembers", function()
  each(function(make, dtype)
    local trainer, batches, model = make()
    trainer:step(batches:next())
    local w, hash, moments = trainer:values(), model:hash(), trainer:moments()
    trainer:set_values(w + 0.25)
    test.equal(model:hash() == hash, false)
    test.near((trainer:values() - w):mean(), 0.25, dtype == "f32" and 1e-6 or 2e-3)
    trainer:set_values(w)
    test.equal(model:hash(), hash)
    for name, moment in pairs(trainer:moments()) do
      test.equal((moment - moments[name]):norm(), 0)
    end
  end)
end)

test.case("gradients of other entries are refused, and change nothing", function()
  local model, batches = fresh()
  local mask = lota.mask.random(model, { density = 0.02, seed = 3 })
  local trainer = lota.train.new(model, { mask = mask, lr = 1e-3 })
  local hash, g = model:hash(), trainer:gradients(batches:next())
  test.raises(function()
    trainer:update(g:dense())
  end, "not of the entries that are trained")
  test.raises(function()
    trainer:set_values(g:within(lota.mask.random(model, { count = 9, within = mask })))
  end, "not of the entries that are trained")
  test.raises(function()
    trainer:update(g * (0 / 0))
  end, "not finite; no weight was changed")
  test.equal(model:hash(), hash)
end)

test.case("another selection keeps values and state of what stays", function()
  for _, dtype in ipairs { "f32", "bf16" } do
    local model, batches = fresh(dtype)
    local first = lota.mask.random(model, { density = 0.02, seed = 3 })
    local dropped = lota.mask.random(model, { density = 0.005, seed = 4, within = first })
    local grown = lota.mask.random(model, { density = 0.005, seed = 5, avoid = first })
    local second = (first - dropped) | grown
    local trainer = lota.train.new(model, { mask = first, optimizer = "adamw", lr = 1e-3 })
    for _ = 1, 3 do
      trainer:step(batches:next())
    end
    local values, moments, hash = trainer:values(), trainer:moments(), model:hash()
    trainer:select { mask = second }
    test.equal(model:hash(), hash)
    test.equal(trainer:info().entries, second:count())
    test.equal(trainer:info().step, 3)
    local stays = first & second
    test.equal((trainer:values():within(stays) - values:within(stays)):norm(), 0)
    for name, moment in pairs(trainer:moments()) do
      test.equal((moment:within(stays) - moments[name]:within(stays)):norm(), 0)
      test.equal(moment:within(grown):norm(), 0)
    end
    local frozen = model:hash { outside = second }
    trainer:step(batches:next())
    test.equal(model:hash { outside = second }, frozen)
    -- To all entries and back.
    trainer:select {}
    test.equal(trainer:info().entries, model:entries())
    trainer:select { mask = second }
    test.equal(trainer:info().entries, second:count())
  end
end)

test.case("selecting the same entries again changes no bit of what follows", function()
  each(function(make)
    local plain, batches, model = make()
    local chosen, again, other = make()
    for i = 1, 3 do
      plain:step(batches:next())
      chosen:step(again:next())
      if i == 2 then
        chosen:select { mask = chosen:values():mask() }
      end
    end
    test.equal(model:hash(), other:hash())
  end)
end)

test.case("rates and decay of groups, and rates that are set", function()
  local model, batches = fresh()
  local mlp, norms = lota.mask.match(model, "*.mlp.*"), lota.mask.match(model, "*norm*")
  local trainer = lota.train.new(model, {
    optimizer = "sgd",
    momentum = 0,
    lr = 0.1,
    groups = { { params = "*.mlp.*", lr = 0.02 }, { params = { "*norm*" }, lr = 0 } },
  })
  local batch = batches:next()
  local before, g = trainer:values(), trainer:gradients(batch)
  trainer:update(g)
  local moved = trainer:values() - before
  test.near((moved + 0.02 * g):within(mlp):norm(), 0, 1e-6)
  test.equal(moved:within(norms):norm(), 0)
  local rest = lota.mask.complement(mlp | norms)
  test.near((moved + 0.1 * g):within(rest):norm(), 0, 1e-6)

  trainer:set_lr(0.05)
  trainer:set_lr(0.01, { params = "*.mlp.*" })
  before, g = trainer:values(), trainer:gradients(batch)
  test.equal(trainer:update(g).lr, 0.05)
  moved = trainer:values() - before
  test.near((moved + 0.01 * g):within(mlp):norm(), 0, 1e-6)
  test.near((moved + 0.05 * g):within(rest):norm(), 0, 1e-6)

  for groups, why in pairs {
    [{ { params = "*.mlp.*" }, { params = "*.up_proj.*" } }] = "is in two groups",
    [{ { params = "*.mlp.*", decay = 1 } }] = "has no 'decay'",
    [{ { params = "*.mlp.*", lr = -1 } }] = "must be at least 0",
    [{ { params = "*.nothing.*" } }] = "no parameter matches",
    [{ { lr = 1 } }] = "without params",
  } do
    test.raises(function()
      lota.train.new(model, { groups = groups })
    end, why)
  end
  test.raises(function()
    lota.train.new(model, { params = "*.mlp.*", groups = { { params = "*norm*", lr = 1 } } })
  end, "no parameter of the group *norm* is trained")
end)

test.case("a saved training keeps the rates that were set", function()
  local model, batches = fresh()
  local trainer = lota.train.new(model, { optimizer = "sgd", momentum = 0, lr = 0.1 })
  trainer:set_lr(0.03)
  trainer:set_lr(0, { params = "*.mlp.*" })
  trainer:step(batches:next())
  local path = lota.run.start(os.tmpname() .. ".run"):path "state.safetensors"
  trainer:save(path)
  local other = lota.train.new(fresh(), { optimizer = "sgd", momentum = 0, lr = 0.1 })
  other:load(path)
  local before = other:values()
  test.equal(other:step(batches:next()).lr, 0.03)
  test.equal((other:values() - before):within(lota.mask.match(model, "*.mlp.*")):norm(), 0)
end)

test.case("a penalty adds its gradient once a step, and is reported beside the loss", function()
  for _, density in ipairs { false, 0.02 } do
    for _, dtype in ipairs { "f32", "bf16" } do
      local model, batches = fresh(dtype)
      local mask = density and lota.mask.random(model, { density = density, seed = 3 }) or nil
      local anchor = lota.values.weights(model, { mask = mask }) + 0.5
      local weight = anchor:square() + 0.1
      local function trainer(penalty, more)
        local all = { mask = mask, optimizer = "sgd", momentum = 0, lr = 0.01, penalty = penalty }
        for key, value in pairs(more or {}) do
          all[key] = value
        end
        return lota.train.new(model, all)
      end
      local two = { batches:next(), batches:next() }
      local plain = trainer(nil):gradients(two)
      local w = trainer(nil):values()
      for strength, each in pairs { [3] = anchor * 0 + 3, [weight] = weight } do
        local pulled = trainer { anchor = anchor, weight = strength }
        local g = pulled:gradients(two)
        local wanted = plain + each * (w - anchor)
        test.near((g - wanted):norm() / wanted:norm(), 0, 1e-6)
        local report = pulled:update(g)
        local penalty = 0.5 * (each * (w - anchor):square()):sum()
        test.near(report.penalty / penalty, 1, 1e-6)
        pulled:set_values(w)
      end
      -- Where parameters are updated as their gradients come, too.
      local whole = trainer { anchor = anchor, weight = weight }
      local blocks = trainer({ anchor = anchor, weight = weight }, { per_block = true })
      local a = whole:step(two[1])
      local moved = whole:values()
      whole:set_values(w)
      local b = blocks:step(two[1])
      test.near(a.penalty, b.penalty, 1e-9 * a.penalty)
      test.near((blocks:values() - moved):norm(), 0, 1e-6)
      blocks:set_values(w)
    end
  end
end)

test.case("a penalty needs its values for all that is trained", function()
  local model = fresh()
  local mask = lota.mask.random(model, { density = 0.02, seed = 3 })
  local anchor = lota.values.weights(model, { mask = mask })
  for _, wrong in ipairs {
    { { anchor = anchor, weight = 1 }, "no value for some trained entries" },
    { { anchor = anchor }, "lacks its weight" },
    { { weight = 1 }, "lacks its anchor" },
    { { anchor = 3, weight = 1 }, "needs Values as its anchor" },
    { { anchor = anchor, weight = 1, lambda = 2 }, "has no 'lambda'" },
  } do
    test.raises(function()
      lota.train.new(model, { penalty = wrong[1] })
    end, wrong[2])
  end
  test.raises(function()
    lota.train.new(model, { mask = mask, penalty = { anchor = anchor, weight = anchor:abs() * -1 - 1 } })
  end, "at least 0")
end)
