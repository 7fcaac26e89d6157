--- LoTTO, lottery tickets together optimisation (arXiv 2406.16797, section 3): a sequence of tasks that cannot overwrite
-- each other.
--
-- Each task is adapted by LoTA, and both its calibration and its training stay outside the union of all earlier masks.
-- What an earlier task wrote is therefore still there, bit for bit, at the end; whether the model still *does* the
-- earlier task is a question for measurement, since later entries act on the same activations.
--
-- Takes a list of tasks of any length, in order. Changes `model` in place. Returns
-- { stages = { what adapt.lota returns, … }, taken = union of the masks, capacity = fraction of entries still free }.
-- All tickets name the first model as their base: being disjoint, they apply to it in any order and number.

local lota = require "lota"
local options = require "lota.options"
local phase = require "lota.adapt.phase"
local sparse = require "lota.adapt.lota"

--- Options of this function itself; every other one is handed to adapt.lota.
local defaults = {
  after = { nil, "called as f(index, stage) when a task is done: the place to evaluate", type = "function" },
  avoid = { nil, "a mask that no task may touch", type = "Mask" },
}

return function(model, tasks, given)
  if type(tasks) ~= "table" or #tasks == 0 then
    local got = type(tasks) ~= "table" and "a " .. phase.kind(tasks)
      or tasks.train and "one task: write { task }"
      or "an empty one"
    error("adapt.lotto: expected a list of tasks, got " .. got, 2)
  end
  local o = options.read("adapt.lotto", defaults, options.pick(defaults, given or {}))
  local read
  for _, task in ipairs(tasks) do
    read = sparse(model, task, options.with(options.without(given, { "after" }), { dry_run = true }))
  end
  phase.check_masks("adapt.lotto", model, #tasks, read)
  if given and given.dry_run then
    return read
  end
  local base = model:fingerprint()
  local all = lota.mask.all(model, { params = given and given.params or "adaptable" })
  local taken = o.avoid or lota.mask.none(model)
  local stages = {}
  for index, task in ipairs(tasks) do
    local settings =
      options.with(options.without(given, { "after" }), { base = base, avoid = taken:count() > 0 and taken or nil })
    settings.save_to = settings.save_to and ("%s/task-%d"):format(settings.save_to, index)
    stages[index] = sparse(model, task, settings)
    taken = lota.mask.union(taken, stages[index].mask)
    if o.after then
      o.after(index, stages[index])
    end
  end
  return { stages = stages, taken = taken, capacity = lota.mask.capacity({ taken }, { within = all }).free }
end
