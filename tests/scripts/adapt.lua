-- no twin: the bits of the adapt modules are compared with Lua's in tests/it/rhai.rs; lota.scores is Lua's alone
-- lota.adapt and lota.scores on a small random model: what may change, what may not, and what is recorded.
local adapt = require "lota.adapt"
local lota = require "lota"
local options = require "lota.options"
local scores = require "lota.scores"
local tasks = require "lota.tasks"
local test = require "lota.test"

local model = lota.model.init("tiny", { seed = 1 })
local base, fingerprint = model:snapshot(), model:fingerprint()
local first = tasks.open("mirror", { train = 64, test = 8 })
local second = tasks.open("nines", { train = 64, test = 8 })
local third = tasks.open("sort", { train = 64, test = 8 })
local quick = { density = 0.05, steps = 3, calibration_steps = 2, lr = 1e-3, batch = 4, max_len = 64, max_prompt = 32 }
local entries = lota.mask.all(model, { params = "adaptable" }):count()
local size = math.floor(0.05 * entries + 0.5)

local function unchanged_outside(mask)
  local after = model:hash({ outside = mask })
  local inside = model:hash({ mask = mask })
  model:restore(base)
  test.equal(after, model:hash({ outside = mask }), "entries outside the mask")
  test.equal(inside ~= model:hash({ mask = mask }), true, "entries inside the mask have moved")
end

test.case("lota changes the masked entries alone, and exactly as many as the density says", function()
  local result = adapt.lota(model, first, quick)
  test.equal(result.mask:count(), size)
  test.equal({ #result.losses.calibrate, #result.losses.adapt }, { 2, 3 })
  test.equal(result.losses.calibrate[1], result.losses.adapt[1], "the first loss after rewinding")
  unchanged_outside(result.mask)
end)

test.case("the same seed gives the same ticket", function()
  local one = adapt.lota(model, first, quick)
  local bits = model:fingerprint()
  model:restore(base)
  local other = adapt.lota(model, first, quick)
  test.equal(one.mask:equals(other.mask), true)
  test.equal(model:fingerprint(), bits)
  model:restore(base)
end)

test.case("a ticket applied to the base gives the adapted model, and un-applied gives the base", function()
  local result = adapt.lota(model, first, quick)
  local adapted = model:fingerprint()
  model:restore(base)
  local applied = result.ticket:apply(model)
  test.equal(model:fingerprint(), adapted)
  applied:unapply()
  test.equal(model:fingerprint(), fingerprint)
end)

test.case("lotto keeps any number of tasks apart", function()
  local seen = {}
  local result = adapt.lotto(
    model,
    { first, second, third },
    options.with(quick, {
      after = function(index)
        seen[#seen + 1] = index
      end,
    })
  )
  test.equal(seen, { 1, 2, 3 })
  for i, one in ipairs(result.stages) do
    for j = i + 1, 3 do
      test.equal(one.mask:disjoint(result.stages[j].mask), true, "masks " .. i .. " and " .. j)
    end
  end
  test.equal(result.taken:count(), 3 * size)
  test.near(result.capacity, 1 - 3 * size / entries, 1e-12)
  unchanged_outside(result.taken)
end)

test.case("fft moves more than a mask would; random draws outside what it is told to avoid", function()
  adapt.fft(model, first, { steps = 2, lr = 1e-3, batch = 4, max_len = 64, max_prompt = 32 })
  test.equal(model:fingerprint() ~= fingerprint, true)
  model:restore(base)
  local one = adapt.random(model, first, { density = 0.05, steps = 2, lr = 1e-3, batch = 4, max_len = 64, seed = 1 })
  local other = adapt.random(model, second, {
    density = 0.05,
    steps = 2,
    lr = 1e-3,
    batch = 4,
    max_len = 64,
    seed = 1,
    avoid = one.mask,
  })
  test.equal({ one.mask:count(), other.mask:count() }, { size, size })
  test.equal(one.mask:disjoint(other.mask), true)
  unchanged_outside(lota.mask.union(one.mask, other.mask))
end)

test.case(
  "lora adds a change of the rank that its number of values asks for, and what it returns is that change",
  function()
    local o = { steps = 2, lr = 1e-2, batch = 4, max_len = 64, max_prompt = 32, optimizer = "adamw" }
    local one = lota.mask.all(lota.lora.attach(model, { rank = 1 }), { params = "lora" }):count()
    local result = adapt.lora(model, first, options.with(o, { count = 3 * one + 1, dropout = 0.1 }))
    test.equal({ result.rank, result.count, #result.losses.adapt }, { 3, 3 * one, 2 })
    local delta = result.adapter:delta(model)
    local off = delta:sub(model:delta(base, { params = "adaptable" })):abs():max()
    assert(delta:abs():max() > 1e-4 and off < 1e-6, "the model has moved by the adapter")
    model:restore(base)
    local scaled = adapt.lora(model, first, options.with(o, { density = 3 * one / entries, dry_run = true }))
    test.equal({ scaled.rank, scaled.count, model:fingerprint() }, { 3, 3 * one, fingerprint })
    test.raises(function()
      adapt.lora(model, first, options.with(o, { rank = 2, count = 100 }))
    end, "give one of `rank`, `count` and `density`")
    test.raises(function()
      adapt.lora(model, first, options.with(o, { targets = "lm_head" }))
    end, "lm_head")
    test.equal(model:fingerprint(), fingerprint)
  end
)

test.case("lori trains few entries of B, and no entry of A", function()
  local o = { rank = 4, keep = 0.2, steps = 2, calibration_steps = 1, lr = 1e-2, batch = 4, max_len = 64, seed = 5 }
  local result = adapt.lori(model, first, options.with(o, { max_prompt = 32 }))
  model:restore(base)
  local fresh = lota.lora.attach(model, { rank = 4, seed = 5 })
  local trained = lota.lora.attach(model, { adapter = result.adapter })
  test.equal(trained:hash({ outside = result.mask }), fresh:hash({ outside = result.mask }))
  assert(trained:hash({ mask = result.mask }) ~= fresh:hash({ mask = result.mask }))
  local b = lota.mask.all(fresh, { params = "*.lora_B.weight" })
  test.equal(result.mask:subset(b), true)
  test.equal({ result.count, #result.losses.calibrate }, { math.floor(0.2 * b:count() + 0.5), 1 })
end)

test.case("a misspelt option stops the run", function()
  test.raises(function()
    adapt.lota(model, first, { desnity = 0.1 })
  end, "did you mean `density`?")
end)

test.case("every option is looked at before the first step", function()
  local blocked = os.tmpname() -- a file, where no folder can be
  local steps = 0
  local function refused(method, given, text)
    local o = options.with(quick, given)
    o.on_step = o.on_step or function()
      steps = steps + 1
    end
    if method == adapt.fft then
      o = options.without(o, { "density", "calibration_steps" })
    elseif method == adapt.random then
      o = options.without(o, { "calibration_steps" })
    end
    test.raises(function()
      method(model, method == adapt.lotto and { first, second } or first, o)
    end, text)
    test.equal({ steps, model:fingerprint() }, { 0, fingerprint })
  end
  for _, method in ipairs { adapt.lota, adapt.lotto, adapt.random, adapt.fft } do
    refused(method, { lr = -1 }, "option `lr` must be a number above 0, got -1")
    refused(method, { lr = 0 / 0 }, "option `lr` must be a number above 0")
    refused(method, { steps = 0 }, "option `steps` must be a whole number, 1 or more, got 0")
    refused(method, { steps = 2.5 }, "option `steps` must be a whole number, 1 or more, got 2.5")
    refused(method, { batch = 0 }, "option `batch`")
    refused(method, { seed = "one" }, "option `seed`")
    refused(method, { on_step = "print" }, "option `on_step` must be a function")
    refused(method, { optimizer = "adm" }, "did you mean 'adamw'")
    refused(method, { optimizer = "adamw", momentum = 0.9 }, "option 'momentum' does not belong to adamw")
    refused(method, { optimizer = "sgd", dampening = 0.5, nesterov = true }, "dampening of 0")
    refused(method, { schedule = "linaer" }, "did you mean 'linear'")
    refused(method, { clip_norm = 0 }, "must be above 0")
    refused(method, { checkpoint = "blocks" }, "must be one of none, block")
    refused(method, { resume = true }, "option `save_to` is missing")
    refused(method, { save_to = blocked .. "/training" }, blocked)
  end
  for _, method in ipairs { adapt.lota, adapt.lotto, adapt.random } do
    refused(method, { density = 0 }, "option `density` must be a number above 0, and at most 1, got 0")
    refused(method, { density = 1.5 }, "option `density`")
    refused(method, { density = 1e-9 }, "rounds to none of " .. entries .. " entries")
    refused(method, { scope = "layers" }, "must be one of global, parameter, layer, row")
    refused(method, { params = "*.nothing" }, "*.nothing")
    refused(method, { avoid = lota.mask.all(model) }, "adapt.")
  end
  refused(adapt.lota, { base = "the first one" }, "option `base` must be a fingerprint")
  refused(adapt.random, { base = fingerprint:upper() }, "option `base` must be a fingerprint")
  refused(adapt.lota, { calibration_lr = 0 }, "option `calibration_lr`")
  refused(adapt.lota, { calibration_steps = -1 }, "option `calibration_steps`")
  refused(adapt.lota, { calibration_steps = 0 }, "or a `score`")
  refused(adapt.lotto, { density = 0.6 }, "no mask for task 2 of 2")
  refused(adapt.lotto, { after = 1 }, "option `after` must be a function")
  -- The second of two tasks is looked at before the first is trained.
  test.raises(function()
    adapt.lotto(model, { first, { train = { { prompt = "no target" } } } }, quick)
  end, "target")
  test.equal(model:fingerprint(), fingerprint)
end)

test.case("what a score returns is looked at as soon as it is called", function()
  local function refused(score, text)
    local phases = {}
    local function on_step(_, name)
      phases[name] = true
    end
    test.raises(function()
      adapt.lota(model, first, options.with(quick, { score = score, on_step = on_step }))
    end, text)
    test.equal(phases, { calibrate = true }, "no step of adapting")
    model:restore(base)
  end
  refused(function()
    return 3
  end, "adapt.lota: option `score` must return a Values, it returned a number")
  refused(function() end, "it returned a nil")
  refused(function(of)
    return lota.mask.all(of)
  end, "it returned a Mask")
  local other = lota.model.init("tiny", { seed = 1 })
  local extra = lota.lora.attach(other, { rank = 2 })
  refused(function()
    return lota.values.weights(extra, { params = "lora" })
  end, "which the model does not have")
end)

test.case("arguments in the wrong places are told which is which", function()
  local function refused(method, one, two, got)
    test.raises(function()
      method(one, two, { steps = 1 })
    end, "the first argument must be a Model, the second a task, which is a table; got " .. got)
  end
  refused(adapt.lota, first, model, "table and Model")
  refused(adapt.fft, model, "skip", "Model and string")
  refused(adapt.random, model, nil, "Model and nil")
  refused(adapt.lotto, model, { "skip" }, "Model and string")
  test.raises(function()
    adapt.lotto(model, "skip", quick)
  end, "expected a list of tasks, got a string")
end)

test.case("a dry run trains nothing, and returns the options", function()
  for _, method in ipairs { adapt.lota, adapt.random, adapt.fft } do
    local o = method(model, first, { steps = 7, dry_run = true })
    test.equal({ o.steps, o.batch, model:fingerprint() }, { 7, 4, fingerprint })
  end
  local read = adapt.lotto(model, { first, second }, { steps = 7, dry_run = true })
  test.equal({ read.steps, read.calibration_steps, model:fingerprint() }, { 7, 100, fingerprint })
end)

test.case("a loss of one's own trains in every phase, and not where a method has its own", function()
  local calls = 0
  local function loss(logp)
    calls = calls + 1
    return logp:mean():neg() * 2
  end
  local result = adapt.lota(model, first, options.with(quick, { loss = loss }))
  model:restore(base)
  local plain = adapt.lota(model, first, quick)
  model:restore(base)
  test.equal(calls >= 2 * 2, true)
  test.near(result.losses.calibrate[1], 2 * plain.losses.calibrate[1], 1e-4)
  local rows = { train = { { prompt = "1+1=", chosen = "2", rejected = "3" } } }
  test.raises(function()
    adapt.dpo(model, rows, { steps = 1, loss = loss })
  end, "whose loss is its own")
  test.raises(function()
    adapt.distill(model, first, { steps = 1, teacher = model:clone(), loss = loss })
  end, "whose loss is its own")
  test.raises(function()
    adapt.fft(model, first, { steps = 1, loss = "mean" })
  end, "option `loss` must be a function, or a table")
end)

test.case("a score that fails leaves the model as it was", function()
  test.raises(function()
    adapt.lota(
      model,
      first,
      options.with(quick, {
        score = function()
          error "no score today"
        end,
      })
    )
  end, "no score today")
  test.equal(model:fingerprint(), fingerprint)
end)

test.case("a task without rows among earlier ones is named", function()
  for _, method in ipairs { adapt.ewc, adapt.agem, adapt.replay } do
    test.raises(function()
      method(model, first, { steps = 1, earlier = { first, { train = {} } } })
    end, "option `earlier`: task 2 has no rows")
  end
  test.raises(function()
    adapt.ssu(model, first, { steps = 1, source = { {} } })
  end, "option `source`: task 1 has no rows")
end)

test.case("the settings of an optimizer are options", function()
  local function moved(given)
    adapt.fft(model, first, options.with({ steps = 2, lr = 1e-3, batch = 4, max_len = 64, optimizer = "sgd" }, given))
    local bits = model:fingerprint()
    model:restore(base)
    return bits
  end
  test.equal(moved { momentum = 0.9 }, moved {})
  test.equal(moved { momentum = 0.9, dampening = 0.5 } ~= moved {}, true)
end)

test.case("every score can be turned into a mask", function()
  local examples = lota.data.examples(model, first.train, { max_len = 64, max_prompt = 32 })
  local function batches()
    return lota.data.batches(examples, { size = 4, seed = 1 })
  end
  local made = {
    gradient = scores.gradient(model, batches(), { limit = 2 }),
    fisher = scores.fisher(model, batches(), { limit = 2 }),
    weight = scores.weight(model),
    weight_gradient = scores.weight_gradient(model, batches(), { limit = 2 }),
    random = scores.random(model, { seed = 3 }),
  }
  for name, one in pairs(made) do
    local mask = lota.mask.from_scores(one, { count = 100 })
    test.equal(mask:count(), 100, name)
    test.equal(mask:subset(lota.mask.all(model, { params = "adaptable" })), true, name)
  end
end)

test.case("a method that was stopped goes on with the same bits", function()
  local function once(given)
    model:restore(base)
    local result = adapt.lota(model, first, options.with(quick, given or {}))
    return model:fingerprint(), result.mask
  end
  local bits, mask = once()
  for stop_phase, stop_step in pairs({ calibrate = 1, adapt = 2 }) do
    local folder = lota.run.start(os.tmpname() .. "-" .. stop_phase):path "training"
    test.raises(function()
      once {
        save_to = folder,
        save_every = 1,
        on_step = function(info, phase)
          if phase == stop_phase and info.step == stop_step + 1 then
            error("stopped in " .. phase)
          end
        end,
      }
    end, "stopped in " .. stop_phase)
    local again, same = once({ save_to = folder, resume = true })
    test.equal(again, bits, stop_phase)
    test.equal(same == mask, true)
  end
  model:restore(base)
end)

test.case("an iterative method that was stopped goes on in the same script", function()
  local function once(given)
    model:restore(base)
    local result = adapt.iterative(model, first, options.with(options.with(quick, { rounds = 2 }), given or {}))
    return model:fingerprint(), result.losses.adapt
  end
  local bits, losses = once()
  local folder = lota.run.start(os.tmpname() .. "-iterative"):path "training"
  test.raises(function()
    once {
      save_to = folder,
      save_every = 1,
      on_step = function(info, phase)
        if phase == "adapt" and info.step == 2 then
          error "stopped on purpose"
        end
      end,
    }
  end, "stopped on purpose")
  local again, all = once { save_to = folder, resume = true }
  test.equal({ again, all }, { bits, losses })
  model:restore(base)
end)

test.case("a folder that holds a training is not written over", function()
  local folder = lota.run.start(os.tmpname() .. "-kept"):path "training"
  adapt.fft(model, first, { steps = 1, lr = 1e-3, batch = 4, max_len = 64, save_to = folder })
  model:restore(base)
  test.raises(function()
    adapt.fft(model, first, { steps = 1, lr = 1e-3, batch = 4, max_len = 64, save_to = folder })
  end, "holds a run already")
end)

test.case("a ticket tells what chose its entries, its loss, and the steps that were taken", function()
  local given = options.with(quick, {
    score = function(trained, before)
      return scores.delta(trained, before)
    end,
    loss = function(logp)
      return -logp:mean()
    end,
    on_step = function(info, phase)
      return not (phase == "adapt" and info.step == 2)
    end,
  })
  local settings = adapt.lota(model, first, given).ticket:info().settings
  model:restore(base)
  test.equal({ settings.chosen_by, settings.loss, settings.steps }, { "score", "a function", 2 })
end)

test.case("options that are no table are told so", function()
  test.raises(function()
    adapt.fft(model, first, "quick")
  end, "adapt.fft: the options must be a table { name = value }, got string")
  test.raises(function()
    adapt.fft(model, first, base)
  end, "got Snapshot")
end)

test.case("a training is gone on with only by the same method, with the same options, from the same weights", function()
  local folder = lota.run.start(os.tmpname() .. "-same"):path "training"
  local saved = options.with(quick, { save_to = folder, calibration_steps = nil, density = nil })
  saved = options.without(saved, { "calibration_steps", "density" })
  model:restore(base)
  adapt.fft(model, first, saved)
  local function refused(method, more, what)
    test.raises(function()
      method(model, first, options.with(saved, options.with(more, { resume = true })))
    end, "was asked for another " .. what)
  end
  refused(adapt.fft, {}, "`model`") -- the weights are those that the training has made
  model:restore(base)
  refused(adapt.fft, { lr = 0.5 }, "`lr`")
  refused(adapt.fft, { steps = 1 }, "`steps`")
  refused(adapt.l2sp, {}, "`penalty`")
  refused(adapt.fft, { optimizer = "adamw", betas = { 0.5, 0.9 } }, "`betas`")
  adapt.fft(model, first, options.with(saved, { resume = true, keep_packed = true }))
  model:restore(base)
end)

test.case("what is no task is refused with what a task is", function()
  test.raises(function()
    adapt.lota(model, {}, quick)
  end, "a list of { prompt =, target = }")
  test.raises(function()
    adapt.lotto(model, first, quick)
  end, "write { task }")
end)

test.case("what cannot be chosen is known before calibrating", function()
  test.raises(function()
    adapt.lota(model, first, options.with(quick, { params = "*.mlp.*", calibrate = "*.self_attn.*" }))
  end, "`calibrate` and `params` have nothing in common")
  test.raises(function()
    local rows = { train = { { prompt = "1+1=", chosen = "2", rejected = "3" } } }
    adapt.dpo(model, rows, { steps = 1, z_loss = 0.1, dry_run = true })
  end, "option `z_loss` is not for this method")
  test.equal(model:fingerprint(), fingerprint)
end)
