-- lota.cl: figures worked out by hand, sequences, and going on where one was stopped.
local cl = require "lota.cl"
local lota = require "lota"
local options = require "lota.options"
local tasks = require "lota.tasks"
local test = require "lota.test"

-- Three tasks. Task 1 falls from 0.9 to 0.5, then rises to 0.6; task 2 falls from 0.8 to 0.4.
local R = { { 0.9, 0.2, 0.1 }, { 0.5, 0.8, 0.3 }, { 0.6, 0.4, 0.7 } }
local untrained = { 0.1, 0.1, 0.2 }

test.case("figures of R are those of the papers' formulas", function()
  test.near(cl.metrics.average(R), (0.6 + 0.4 + 0.7) / 3, 1e-12)
  test.near(cl.metrics.backward(R), (-0.3 - 0.4) / 2, 1e-12)
  test.near(cl.metrics.forgetting(R), (0.3 + 0.4) / 2, 1e-12)
  test.near(cl.metrics.forward(R, untrained), (0.1 + 0.1) / 2, 1e-12)
  test.near(cl.metrics.lowest(R), (0.5 + 0.4) / 2, 1e-12)
  local probes = { { after = 1, task = 1, score = 0.3 }, { after = 2, task = 2, score = 0.6 } }
  test.near(cl.metrics.lowest(R, probes), (0.3 + 0.4) / 2, 1e-12)
end)

test.case("forgetting counts from the best score, which need not be the first", function()
  local better = { { 0.4, 0, 0 }, { 0.8, 0.5, 0 }, { 0.6, 0.5, 0.5 } }
  test.near(cl.metrics.forgetting(better), (0.2 + 0) / 2, 1e-12)
  test.near(cl.metrics.backward(better), (0.2 + 0) / 2, 1e-12)
end)

test.case("a matrix with holes, or of one task, is refused", function()
  test.raises(function()
    cl.metrics.average { { 1, 1 }, { 1 } }
  end, "R[2][2] must be a number")
  test.raises(function()
    cl.metrics.backward { { 1 } }
  end, "at least 2 rows")
  test.raises(function()
    cl.metrics.forward(R, { 0.1, 0.1 })
  end, "the score of task 3")
end)

-- What is tested holds for any weights: a small model of random ones takes a tenth of the time of the built-in one.
local model = lota.model.init("tiny", { seed = 1 })
local base = model:snapshot()
local learnt = {}
for i, name in ipairs { "skip", "nines", "sort" } do
  learnt[i] = tasks.open(name, { train = 48, test = 6 })
  -- A score that moves with every weight, so that equal scores mean equal models.
  learnt[i].score = function(trained)
    return (tonumber(trained:fingerprint():match "%x+$":sub(1, 6), 16) + i) / 2 ^ 25
  end
end
local quick = { density = 0.05, steps = 3, calibration_steps = 1, lr = 1e-3, batch = 4, max_len = 64, max_prompt = 32 }

test.case("a study takes no order twice, and no more than there are", function()
  local run = lota.run.start(os.tmpname() .. ".run")
  local few = options.with(quick, { methods = {}, steps = 1, calibration_steps = 0, orders = 2 })
  local two = { learnt[1], learnt[2] }
  local seen, count = {}, 0
  for _, result in ipairs(cl.study(run, model, two, few)) do
    local order = result.method .. " " .. table.concat(result.tasks, " ")
    assert(not seen[order], order)
    seen[order], count = true, count + (result.method == "full" and 1 or 0)
  end
  test.equal(count, 2)
  local refused = options.with(few, { orders = 7 })
  for list, orders in pairs { [two] = "2 tasks have only 2", [learnt] = "3 tasks have only 6" } do
    test.raises(function()
      cl.study(lota.run.start(os.tmpname() .. ".run"), model, list, refused)
    end, "option `orders` is 7, but " .. orders)
  end
end)

test.case("what is no task, and a method that returns nothing, are told as such", function()
  test.raises(function()
    cl.sequence(model, { "mirror" }, quick)
  end, [[task 1 must be a task, as tasks.open "skip" makes one, got "mirror"]])
  test.raises(function()
    cl.sequence(model, learnt, options.with(quick, { method = function() end }))
  end, "the method must return a table")
  test.raises(function()
    return cl.studdy
  end, "lota.cl has no `studdy`; did you mean `study`?")
end)

test.case("every method fills R, and masks leave the capacity that they do not take", function()
  for name in pairs(cl.methods) do
    model:restore(base)
    local result = cl.sequence(model, learnt, options.with(quick, { method = name, probe_every = 2 }))
    test.equal({ #result.R, #result.R[1], #result.untrained }, { 3, 3, 3 })
    test.equal(result.R[1][1] ~= result.R[2][1], true, name)
    test.equal(#result.probes >= 3, true, "one probe in task 2, two in task 3")
    test.equal(result.probes[1].score ~= result.R[1][1], true, "probes see the model that is trained: " .. name)
    if name == "lotto" or name == "random" then
      test.near(result.capacity, 0.85, 1e-4)
    end
  end
end)

local function folder()
  local path = os.tmpname()
  os.remove(path)
  return path
end

test.case("a study that was stopped and resumed has the scores of one run", function()
  model:restore(base)
  local o = options.with(quick, { methods = { "lotto" }, orders = 2, seeds = 1, probe_every = 2 })
  local whole = cl.study(lota.run.start(folder()), model, learnt, o)
  test.equal(#whole, 2 * 3)

  local place, steps = folder(), 0
  test.raises(function()
    local stopping = options.with(o, {
      save_every = 1,
      on_step = function()
        steps = steps + 1
        if steps == 10 then
          error "stopped on purpose"
        end
      end,
    })
    cl.study(lota.run.start(place), model, learnt, stopping)
  end, "stopped on purpose")
  model:restore(base)
  local run = lota.run.start(place, { resume = true })
  local resumed = cl.study(run, model, learnt, options.with(o, { resume = true }))
  for i, result in ipairs(whole) do
    test.equal(resumed[i].R, result.R, result.method)
    test.equal(resumed[i].probes, result.probes, result.method)
  end
  test.equal(cl.table(resumed), cl.table(whole))
  test.equal((os.rename(place .. "/training", place .. "/left")), nil, "what resuming needed is removed")
  local svg = cl.heatmap(run:path "r.svg", { resumed[1] })
  test.equal(svg:find("after skip", 1, true) ~= nil, true)
end)

test.case("a score must be a number that can be compared", function()
  for said, score in pairs { ["nil"] = false, ['"0.5"'] = "0.5", nan = 0 / 0, inf = math.huge } do
    local task = options.with(learnt[1], {
      score = function()
        return score or nil
      end,
    })
    local ok, why = pcall(cl.sequence, model, { task }, options.with(quick, { method = "full" }))
    test.equal(ok, false)
    local text = "the `score` of task 1 (" .. learnt[1].name .. ") must return a number, it returned "
    test.equal(tostring(why):find(text, 1, true) ~= nil, true, tostring(why))
    test.equal(tostring(why):find(said, 1, true) ~= nil, true, tostring(why))
  end
end)

test.case("methods of one's own stand beside those that are built in", function()
  model:restore(base)
  local called = 0
  local function mine(trained, task, settings)
    called = called + 1
    local taken = options.pick({ lr = 1, batch = 1, max_len = 1, max_prompt = 1, warmup = 1, seed = 1 }, settings)
    taken.steps = settings.steps + settings.calibration_steps
    return require("lota.adapt").fft(trained, task, taken)
  end
  local o = options.with(quick, { methods = { { "mine", mine } } })
  local results = cl.study(lota.run.start(folder()), model, { learnt[1] }, o)
  test.equal({ called, #results, results[1].method }, { 1, 3, "mine" })
  test.equal(results[1].R, results[3].R, "with the options of full, its scores")
  for text, methods in pairs {
    ["`methods` must be a list"] = { mine = mine },
    ["names and pairs { name, function }"] = { mine },
    ["give your own another name"] = { { "lotto", mine } },
  } do
    test.raises(function()
      cl.study(lota.run.start(folder()), model, { learnt[1] }, options.with(quick, { methods = methods }))
    end, text)
  end
  test.raises(function()
    cl.study("runs/x", model, learnt, quick)
  end, "must be a Run, as lota.run.start gives one, got a string")
end)

test.case("a run folder holds one study", function()
  model:restore(base)
  local run, o = lota.run.start(folder()), options.with(quick, { methods = { "random" } })
  cl.study(run, model, { learnt[1] }, o)
  local function refused(tasks, more, what)
    test.raises(function()
      cl.study(run, model, tasks, options.with(o, more))
    end, "was asked for another " .. what)
  end
  refused({ learnt[2] }, {}, "`rows`")
  refused({ learnt[1] }, { lr = 0.5 }, "`lr`: it was")
  refused({ learnt[1] }, { own = { ewc = { strength = 2 } } }, "`own`")
  local fewer = options.with(learnt[1], { train = table.move(learnt[1].train, 2, #learnt[1].train, 1, {}) })
  fewer.train[#fewer.train + 1] = learnt[1].train[2]
  refused({ fewer }, {}, "`rows`")
  test.raises(function()
    cl.study(run, model, { learnt[1] }, options.with(o, { methods = "lotto" }))
  end, "`methods` must be a list")
  test.equal(#cl.study(run, model, { learnt[1] }, options.with(o, { methods = { "lotto" } })), 3)
end)

test.case("what cannot work is told before anything is measured", function()
  model:restore(base)
  local run = lota.run.start(folder())
  local function refused(more, part)
    test.raises(function()
      cl.study(run, model, learnt, options.with(quick, more))
    end, part)
  end
  refused({ methods = { "lotto", "loto" } }, "did you mean")
  refused({ density = 0.4 }, "no mask for task 3 of 3")
  refused({ stesp = 3 }, "did you mean `steps`")
  refused({ optimizer = "adamww" }, "adamww")
  refused({ seed = 3 }, "`seed` is set for each sequence")
  refused({ own = { ewk = {} } }, "did you mean `ewc`")
  refused({ methods = { "ewc" }, own = { ewc = { strenght = 1 } } }, "did you mean `strength`")
  test.equal(#run:records(), 0)
  test.raises(function()
    cl.sequence(model, { { train = learnt[1].train } }, quick)
  end, "task 1 has no `score`")
end)

test.case("the controls are among the methods, and the model has its first weights again", function()
  model:restore(base)
  local before = model:fingerprint()
  local o = options.with(quick, { methods = { "ewc" } })
  local results = cl.study(lota.run.start(folder()), model, { learnt[1] }, o)
  test.equal({ #results, results[1].method, results[2].method, results[3].method }, { 3, "ewc", "random", "full" })
  test.equal({ results[1].average, results[1].forgetting }, { results[1].R[1][1] })
  test.equal(model:fingerprint(), before)
end)
