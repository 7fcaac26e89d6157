--- SAM, sharpness-aware minimization (arXiv 2010.01412, algorithm 1): each step takes the gradient a little uphill, at
-- w + rho · g / |g|, and goes down from w with it.
--
-- It costs two gradients a step. The reported loss is that at w. With `rho = 0` every step is a plain one.
-- Changes `model` in place. Returns { losses = { adapt } }.

local options = require "lota.options"
local phase = require "lota.adapt.phase"

local defaults = options.with(phase.defaults, {
  rho = { 0.05, "how far uphill, as a Euclidean norm over all that is trained", least = 0 },
  params = { "all", "the parameters that may change: a name, a glob, a list, a function(parameter) → boolean" },
})

return function(model, task, given)
  local o = options.read("adapt.sam", defaults, given)
  phase.check_unsaved("adapt.sam", o)
  phase.check("adapt.sam", model, { task }, o)
  if o.dry_run then
    return o
  end
  local losses = phase.loop("adapt", model, task, o.params, o, function(trainer, batches)
    local w, g = trainer:values(), trainer:gradients(batches)
    local norm = g:norm()
    if norm == 0 then
      return trainer:update(g)
    end
    trainer:set_values(w + g * (o.rho / norm))
    local uphill = trainer:gradients(batches)
    trainer:set_values(w)
    return trainer:update(uphill)
  end)
  return { losses = { adapt = losses } }
end
