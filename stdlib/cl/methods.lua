--- How each method of lota.adapt learns one task of a sequence.
--
--   methods.lotto(model, task, settings, past) → what the method returned
--
-- `settings` are those of lota.cl.sequence, `own` those of this method alone; `past` is { tasks, stages, base }: the tasks before this one in order, what
-- their methods returned, and the fingerprint of the model before any of them. All methods take the same number of
-- optimizer steps for a task: those that do not calibrate take calibration_steps more.
--
--   lotto   LoTA outside the masks of all earlier tasks (arXiv 2406.16797)
--   lota    LoTA, each mask wherever it falls
--   random  random masks of the same density, outside each other
--   lora    new factors for each task, added to the weights, as many values as a mask has entries
--   full    every weight, one task after the other
--   ewc     every weight, held where earlier tasks need it (arXiv 1612.00796)
--   replay  every weight, with rows of earlier tasks among the new ones (arXiv 1811.11682)

local adapt = require "lota.adapt"
local lota = require "lota"
local options = require "lota.options"
local phase = require "lota.adapt.phase"

local methods = {}

--- What all methods take, then `more`, then what is for this method alone.
local function training(settings, more)
  return options.with(options.with(options.pick(phase.defaults, settings), more), settings.own or {})
end

--- The same number of steps without a calibration.
local function uncalibrated(settings, more)
  return training(settings, options.with({ steps = settings.steps + settings.calibration_steps }, more or {}))
end

--- The union of the earlier masks; nil without any.
local function taken(past)
  local union
  for _, stage in ipairs(past.stages) do
    union = union and lota.mask.union(union, stage.mask) or stage.mask
  end
  return union
end

local function sparse(settings, past)
  return training(settings, {
    density = settings.density,
    calibration_steps = settings.calibration_steps,
    calibration_lr = settings.lr,
    base = past.base,
  })
end

methods.lotto = function(model, task, settings, past)
  return adapt.lota(model, task, options.with(sparse(settings, past), { avoid = taken(past) }))
end

methods.lota = function(model, task, settings, past)
  return adapt.lota(model, task, sparse(settings, past))
end

methods.random = function(model, task, settings, past)
  local more = { density = settings.density, base = past.base, avoid = taken(past) }
  return adapt.random(model, task, uncalibrated(settings, more))
end

methods.lora = function(model, task, settings)
  return adapt.lora(model, task, uncalibrated(settings, { density = settings.density }))
end

methods.full = function(model, task, settings)
  return adapt.fft(model, task, uncalibrated(settings))
end

--- The first task of a method that needs earlier ones: full fine-tuning, by what it knows of the method's own options.
local function first(model, task, settings)
  return methods.full(model, task, options.with(settings, { own = options.pick(phase.defaults, settings.own or {}) }))
end

methods.ewc = function(model, task, settings, past)
  local last = #past.tasks
  if last == 0 then
    return first(model, task, settings)
  end
  local more = { earlier = { past.tasks[last] }, fisher = past.stages[last].fisher }
  return adapt.ewc(model, task, uncalibrated(settings, more))
end

methods.replay = function(model, task, settings, past)
  if #past.tasks == 0 then
    return first(model, task, settings)
  end
  return adapt.replay(model, task, uncalibrated(settings, { earlier = past.tasks }))
end

return methods
