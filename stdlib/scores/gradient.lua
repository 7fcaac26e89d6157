--- Scores from gradients over some batches, collected parameter by parameter: no model-sized gradient is ever held
-- beyond the scores themselves.

local lota = require "lota"
local options = require "lota.options"

local defaults = { params = "adaptable" }

local function collect(name, model, batches, kind, given)
  local o = options.read(name, defaults, given)
  return lota.train.grad_scores(model, batches, { kind = kind, params = o.params })
end

local gradient = {}

--- |Σ g| over the batches.
function gradient.gradient(model, batches, given)
  return collect("scores.gradient", model, batches, "gradient", given):abs()
end

--- Σ g² over the batches: the empirical Fisher diagonal, up to a constant, as in FISH masks (arXiv 2111.09839).
function gradient.fisher(model, batches, given)
  return collect("scores.fisher", model, batches, "fisher", given)
end

--- |w · Σ g|: the first-order change of the loss if the entry were removed, as in SNIP (arXiv 1810.02340).
function gradient.weight_gradient(model, batches, given)
  local g = collect("scores.weight_gradient", model, batches, "gradient", given)
  return g:map(function(name, score)
    return score:mul(model:param(name):to "f32"):abs()
  end)
end

return gradient
