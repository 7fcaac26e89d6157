--- LoTA, lottery ticket adaptation (arXiv 2406.16797, section 3): fine-tune only the entries that fine-tuning moves most.
--
--   1. calibrate: train every free weight for `calibration_steps`
--   2. score:     |w_after - w_before|, and take the largest `density` of all attention and MLP entries together; or a
--                 `count`, a density for each layer or parameter (see lota.mask.from_scores), or what `select` takes
--   3. rewind:    back to the bits of `w_before`
--   4. adapt:     train again, with only the chosen entries free, for `steps`
--
-- Changes `model` in place. Returns { mask, ticket, losses = { calibrate, adapt } }.

local lota = require "lota"
local options = require "lota.options"
local phase = require "lota.adapt.phase"
local scores = require "lota.scores"

local defaults = options.with(phase.defaults, {
  density = {
    0.1,
    "fraction of the `params` entries in the mask; or for each layer or parameter, as lota.mask.from_scores takes it",
    above = 0,
    most = 1,
    also = { "table", "function" },
  },
  count = {
    nil,
    "how many entries, instead of `density`; or for each layer or parameter",
    type = "integer",
    least = 1,
    also = { "table", "function" },
  },
  select = { nil, "f(scores, model) → Mask, instead of the largest scores", type = "function" },
  calibration_steps = { 100, "optimizer steps of calibration", least = 0 },
  calibration_lr = { nil, "learning rate of calibration; `lr` when absent", type = "number", above = 0 },
  calibrate = { "all", "the parameters that calibrating may move: a name, a glob, a list, a function" },
  params = { "adaptable", "the parameters that a mask may pick from: attention and MLP matrices" },
  scope = { "global", "where the density holds", choices = { "global", "parameter", "layer", "row" } },
  score = {
    nil,
    "f(model, before, task) → Values, instead of |delta|; called after calibrating, with the calibrated model and a Snapshot of the weights before; 0 calibration_steps are allowed with it",
    type = "function",
  },
  avoid = { nil, "a mask that neither phase may touch", type = "Mask" },
  base = { nil, "fingerprint that the ticket names as its base", type = "string" },
})

return function(model, task, given)
  local o = options.read("adapt.lota", defaults, given)
  phase.check("adapt.lota", model, { task }, o)
  phase.check_masks("adapt.lota", model, 1, o)
  if given and given.count and given.density then
    error("adapt.lota: give `count` or `density`, not both", 2)
  end
  if o.calibration_steps == 0 and not (o.score or o.select) then
    error(
      "adapt.lota: nothing moves in 0 calibration_steps, so nothing can be chosen by it: give more, or a `score`",
      2
    )
  end
  local free = o.calibrate
  if o.avoid then
    free = lota.mask.all(model, { params = o.calibrate, avoid = o.avoid })
  end
  local within = lota.mask.all(model, { params = o.params })
  local moved = type(free) == "userdata" and free or lota.mask.all(model, { params = free })
  if not (o.score or o.select) and moved:disjoint(within) then
    error(
      "adapt.lota: calibrating moves nothing that the mask may pick from: `calibrate` and `params` have nothing in common",
      2
    )
  end
  if o.dry_run then
    return o
  end
  local before = model:snapshot()
  local calibrated

  if o.calibration_steps > 0 then
    local calibration = options.with(o, { steps = o.calibration_steps, lr = o.calibration_lr or o.lr })
    calibrated = phase.train("calibrate", model, task, free, calibration)
  end

  local scored
  if o.score then
    local ok
    ok, scored = pcall(o.score, model, before, task)
    model:restore(before)
    if not ok then
      error(scored, 0)
    end
    phase.scored("adapt.lota", scored, model)
  else
    scored = scores.delta(model, before, { params = o.params })
    model:restore(before)
  end
  local mask = o.select and phase.selected("adapt.lota", o.select(scored, model), o)
    or lota.mask.from_scores(scored, phase.budget(o, { within = within, avoid = o.avoid }))

  local result = phase.sparse(o.avoid and "lotto" or "lota", model, task, mask, o)
  result.losses.calibrate = calibrated
  return result
end
