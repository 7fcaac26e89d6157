--- Full fine-tuning: every weight is free. The control that sparse methods are compared with.
--
-- Changes `model` in place. Returns { losses = { adapt } }.

local options = require "lota.options"
local phase = require "lota.adapt.phase"

local defaults = options.with(phase.defaults, {
  params = { "all", "the parameters that may change: a name, a glob, a list, a function(parameter) → boolean" },
})

return function(model, task, given)
  local o = options.read("adapt.fft", defaults, given)
  phase.check("adapt.fft", model, { task }, o)
  if o.dry_run then
    return o
  end
  local losses = phase.train("adapt", model, task, o.params, o)
  return { losses = { adapt = losses } }
end
