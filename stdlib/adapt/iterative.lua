--- Iterative lottery tickets: LoTA's mask, grown over rounds. From lottery ticket sparse fine-tuning (LT-SFT, arXiv
-- 2110.07560), which rewinds and trains what moved most, and from iterative pruning (arXiv 1803.03635), which chooses
-- a part at a time.
--
--   for round = 1 … rounds:
--     1. calibrate: train every free weight for `calibration_steps`, from where the last round ended
--     2. grow:      add the entries outside the mask that moved most, until it holds round / rounds of its final count
--     3. rewind everything to the start, and train the mask for `steps`
--
-- What differs: LT-SFT chooses once (`rounds = 1`, which is adapt.lota), and pruning shrinks where this grows, so that
-- no round trains more than the final mask.
--
-- Changes `model` in place. Returns { mask, masks = of each round, ticket, losses = { calibrate, adapt } }, the losses
-- of the last round.

local lota = require "lota"
local options = require "lota.options"
local phase = require "lota.adapt.phase"
local scores = require "lota.scores"

local defaults = options.with(phase.defaults, {
  density = { 0.1, "fraction of the `params` entries in the final mask", above = 0, most = 1 },
  rounds = { 3, "how often the mask grows", least = 1 },
  calibration_steps = { 100, "optimizer steps of calibration, each round", least = 1 },
  calibrate = { "all", "the parameters that calibrating may move: a name, a glob, a list, a function" },
  params = { "adaptable", "the parameters that a mask may pick from: attention and MLP matrices" },
})

return function(model, task, given)
  local o = options.read("adapt.iterative", defaults, given)
  phase.check("adapt.iterative", model, { task }, o)
  phase.check_masks("adapt.iterative", model, 1, o)
  if o.dry_run then
    return o
  end
  local before, base = model:snapshot(), model:fingerprint()
  local within = lota.mask.all(model, { params = o.params })
  local final = math.floor(o.density * within:count() + 0.5)
  local mask, masks, result = lota.mask.none(model), {}, nil
  for round = 1, o.rounds do
    local settings = options.with(o, { base = base, save_to = o.save_to and ("%s/round-%d"):format(o.save_to, round) })
    local start = model:snapshot()
    local calibration = options.with(settings, { steps = o.calibration_steps })
    local calibrated = phase.train("calibrate", model, task, o.calibrate, calibration)
    local count = math.floor(final * round / o.rounds + 0.5) - mask:count()
    if count > 0 then
      local moved = scores.delta(model, start, { params = o.params })
      mask = mask | lota.mask.from_scores(moved, { count = count, within = within, avoid = mask })
    end
    masks[round] = mask
    model:restore(before)
    if mask:count() > 0 then
      result = phase.sparse("iterative", model, task, mask, settings)
      result.losses.calibrate = calibrated
    end
  end
  result.masks = masks
  return result
end
