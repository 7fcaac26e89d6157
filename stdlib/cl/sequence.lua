--- One sequence: a method learns the tasks one after the other, and is scored on all of them after each.
--
--   local result = sequence(model, { a, b, c }, { method = "lotto", steps = 100, density = 0.1, lr = 1e-4 })
--   result.R[i][j]      the score on task j after training on task i
--   result.untrained    the scores before any training
--   result.probes       scores of earlier tasks inside a task, every `probe_every` steps: { after, step, phase, task, score };
--                       none while calibrating, since what that changes is taken back
--   result.capacity     the fraction of the adaptable entries that no mask has taken; nil where a method has no masks
--
-- The options of training (steps, lr, batch, max_len, warmup, …) are those of every method: `lota doc adapt.fft` lists them. A
-- method of one's own is called with all of them and takes what it knows:
--
--   method = function(model, task, settings, past)
--     return adapt.fft(model, task, options.pick({ steps = 1, lr = 1, batch = 1, max_len = 1, warmup = 1, seed = 1 }, settings))
--   end
--
-- Changes `model` in place. A task needs a `score` beside its `train` (`lota doc tasks`). What was measured goes to
-- `record` as it comes. A sequence that was stopped goes on with `known`, the records of before, and with `save_to` and
-- `resume`: finished phases are read from that folder and the scores from the records, so R is that of one run.

local lota = require "lota"
local methods = require "lota.cl.methods"
local options = require "lota.options"
local phase = require "lota.adapt.phase"

local defaults = options.with(phase.defaults, {
  method = { "lotto", "a name in lota.cl.methods, or a function(model, task, settings, past)" },
  density = { 0.1, "fraction of the adaptable entries in a task's mask", above = 0, most = 1 },
  calibration_steps = {
    100,
    "optimizer steps of calibration, which lotto and lota need; others train as much longer",
    least = 0,
  },
  own = { {}, "options of single methods: { ewc = { strength = 10 }, lora = { alpha = 32 } }" },
  count = { nil, "test rows of each task for a score; all when absent", type = "number", least = 1 },
  probe_every = { 0, "steps between two scores of the earlier tasks inside a task; 0: none", least = 0 },
  probe_count = { nil, "test rows for those scores; `count` when absent", type = "number", least = 1 },
  record = { nil, "called as f(record) for each score", type = "function" },
  known = { nil, "a list of records of the same sequence, which are not measured again", type = "table" },
})

--- The fraction of the adaptable entries that no stage has taken.
local function capacity(model, stages)
  local masks = {}
  for i, stage in ipairs(stages) do
    if not stage.mask then
      return nil
    end
    masks[i] = stage.mask
  end
  return lota.mask.capacity(masks, { within = lota.mask.all(model, { params = "adaptable" }) }).free
end

--- The score of a task now, which must be a number that can be compared with others.
local function measured(task, index, model, count)
  local score = task.score(model, count)
  if type(score) ~= "number" or score ~= score or math.abs(score) == math.huge then
    local text = "cl.sequence: the `score` of task %d (%s) must return a number, it returned %s"
    error(
      text:format(index, tostring(task.name), type(score) == "string" and ("%q"):format(score) or tostring(score)),
      0
    )
  end
  return score
end

--- Under which name a score is known.
local function key(record)
  return table.concat({ record.after, record.phase or "", record.step or 0, record.task }, " ")
end

--- Looks at what cannot work before anything is measured: the tasks, the options of the method, room for all masks.
local function check(model, tasks, o)
  if type(tasks) ~= "table" or #tasks == 0 then
    error("cl.sequence: expected a list of tasks, and not an empty one", 3)
  end
  for i, task in ipairs(tasks) do
    if type(task) ~= "table" then
      local text = 'cl.sequence: task %d must be a task, as tasks.open "skip" makes one, got %s'
      error(text:format(i, type(task) == "string" and ("%q"):format(task) or options.kind(task)), 3)
    elseif type(task.score) ~= "function" then
      error(("cl.sequence: task %d has no `score`, a function(model, count) → number"):format(i), 3)
    end
  end
  if type(o.method) == "function" then
    return
  elseif not methods[o.method] then
    error(("cl.sequence: no method is called `%s`%s"):format(tostring(o.method), options.hint(o.method, methods)), 3)
  end
  for name in pairs(o.own) do
    if not methods[name] then
      error(("cl.sequence: option `own` names no method: `%s`%s"):format(name, options.hint(name, methods)), 3)
    end
  end
  local settings = options.with(options.without(o, { "save_to", "save_every", "resume" }), { dry_run = true })
  settings.own = o.own[o.method]
  local past = { tasks = {}, stages = {} }
  for i, task in ipairs(tasks) do
    methods[o.method](model, task, settings, past)
    past.tasks[i], past.stages[i] = task, {}
  end
  if o.method == "lotto" or o.method == "random" then
    phase.check_masks("cl.sequence", model, #tasks, { density = o.density, params = "adaptable" })
  end
end

return function(model, tasks, given)
  local o = options.read("cl.sequence", defaults, given)
  check(model, tasks, o)
  if o.dry_run then
    return o
  end
  local method = type(o.method) == "function" and o.method or methods[o.method]
  local known, probes = {}, {}
  for _, record in ipairs(o.known or {}) do
    known[key(record)] = record.score
    if record.phase then
      local probe = { after = record.after, phase = record.phase, step = record.step, task = record.task }
      probes[#probes + 1] = options.with(probe, { score = record.score })
    end
  end

  --- The score of task `j`, measured unless it is known.
  local function score(where, j, count)
    local record = options.with(where, { task = j })
    record.score = known[key(record)]
    if not record.score then
      record.score = measured(tasks[j], j, model, count)
      if o.record then
        o.record(record)
      end
    end
    return record
  end

  local function row(after)
    local out = {}
    for j = 1, #tasks do
      out[j] = score({ after = after }, j, o.count).score
    end
    return out
  end

  local past = { tasks = {}, stages = {}, base = model:fingerprint() }
  local R, untrained = {}, row(0)
  for i, task in ipairs(tasks) do
    local settings = options.without(o, { "method", "count", "probe_every", "probe_count", "record", "known" })
    settings.own = o.own[o.method]
    settings.save_to = o.save_to and ("%s/task-%d"):format(o.save_to, i)
    settings.on_step = function(info, name, trained)
      if name ~= "calibrate" and o.probe_every > 0 and info.step % o.probe_every == 0 then
        for j = 1, i - 1 do
          local where = { after = i - 1, phase = name, step = info.step, task = j }
          if not known[key(where)] then
            where.score = measured(tasks[j], j, trained, o.probe_count or o.count)
            probes[#probes + 1] = where
            if o.record then
              o.record(where)
            end
          end
        end
      end
      return not o.on_step or o.on_step(info, name, i)
    end
    local stage = method(model, task, settings, past)
    if type(stage) ~= "table" then
      local text = "cl.sequence: the method must return a table, as those of lota.adapt do ({} will do), it returned %s"
      error(text:format(options.kind(stage)), 0)
    end
    past.stages[i] = stage
    past.tasks[i] = task
    R[i] = row(i)
  end
  return { R = R, untrained = untrained, probes = probes, stages = past.stages, capacity = capacity(model, past.stages) }
end
