--- LoRI (arXiv 2504.07448): LoRA whose A stays as it was drawn, and whose B is trained at few entries.
--
--   1. calibrate: train all of B for `calibration_steps`
--   2. choose:    the largest `keep` of the entries of all B together, by magnitude
--   3. rewind B, and train the chosen entries for `steps`
--
-- `rank` (or the `count` or `density` that it follows from) is that of the factors before the choice.
-- Changes `model` in place. Returns { adapter, mask, rank, count, losses = { calibrate, adapt } }.

local lota = require "lota"
local factors = require "lota.adapt.factors"
local options = require "lota.options"
local phase = require "lota.adapt.phase"
local scores = require "lota.scores"

local B = "*.lora_B.weight"
local defaults = options.with(options.with(phase.defaults, factors.defaults), {
  keep = { 0.1, "fraction of the entries of B in the mask", above = 0, most = 1 },
  calibration_steps = { 100, "optimizer steps of calibration", least = 1 },
})

return function(model, task, given)
  local o = options.read("adapt.lori", defaults, given)
  phase.check("adapt.lori", model, { task }, factors.training(o))
  local attached, rank = factors.attach("adapt.lori", model, o)
  if o.dry_run then
    return options.with(o, { rank = rank })
  end
  local before = attached:snapshot()
  local calibration = options.with(factors.training(o), { steps = o.calibration_steps })
  local calibrated = phase.train("calibrate", attached, task, B, calibration)
  local mask = lota.mask.from_scores(scores.delta(attached, before, { params = B }), {
    density = o.keep,
    within = lota.mask.all(attached, { params = B }),
  })
  attached:restore(before)
  local losses = phase.train("adapt", attached, task, mask, factors.training(o))
  return {
    adapter = factors.apply(attached, model),
    mask = mask,
    rank = rank,
    count = mask:count(),
    losses = { calibrate = calibrated, adapt = losses },
  }
end
