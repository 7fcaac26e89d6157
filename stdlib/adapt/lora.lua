--- LoRA (Hu et al. 2021, arXiv 2106.09685): trains factors of low rank beside frozen weights, then adds their product to
-- the weights. The control for sparse methods at an equal number of trained values: give `count` or `density` in place of
-- `rank`, and the rank is the one whose factors have that many values, to the nearest.
--
-- Changes `model` in place. Returns { adapter, rank, count, losses = { adapt } }; `adapter:save(folder)` is for peft.

local factors = require "lota.adapt.factors"
local options = require "lota.options"
local phase = require "lota.adapt.phase"

local defaults = options.with(phase.defaults, factors.defaults)

return function(model, task, given)
  local o = options.read("adapt.lora", defaults, given)
  phase.check("adapt.lora", model, { task }, factors.training(o))
  local attached, rank, count = factors.attach("adapt.lora", model, o)
  if o.dry_run then
    return options.with(o, { rank = rank, count = count })
  end
  local losses = phase.train("adapt", attached, task, "lora", factors.training(o))
  return { adapter = factors.apply(attached, model), rank = rank, count = count, losses = { adapt = losses } }
end
