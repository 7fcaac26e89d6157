--- L2-SP (arXiv 1802.01483): decay towards the weights at the start, instead of towards zero.
--
--   loss = cross-entropy + strength / 2 · Σ (w - w0)²
--
-- What differs: no second rate for new parameters, since a language model gets no new head.
-- Changes `model` in place. Returns { anchor, losses = { adapt } }; the losses are without the penalty.

local lota = require "lota"
local options = require "lota.options"
local phase = require "lota.adapt.phase"

local defaults = options.with(phase.defaults, {
  strength = { 0.1, "the weight of the penalty", least = 0 },
  anchor = { nil, "the values to stay near; the weights at the start if not given", type = "Values" },
  params = { "all", "the parameters that may change: a name, a glob, a list, a function(parameter) → boolean" },
})

return function(model, task, given)
  local o = options.read("adapt.l2sp", defaults, given)
  phase.check("adapt.l2sp", model, { task }, o)
  if o.dry_run then
    return o
  end
  local anchor = o.anchor or lota.values.weights(model, { params = o.params })
  local penalty = { anchor = anchor, weight = o.strength }
  local losses = phase.train("adapt", model, task, o.params, options.with(o, { penalty = penalty }))
  return { anchor = anchor, losses = { adapt = losses } }
end
