--- Scores from gradients over some batches, collected parameter by parameter: no model-sized gradient is ever held
-- besides the scores themselves.

local lota = require "lota"
local options = require "lota.options"

local defaults = {
  params = { "adaptable", "the parameters that are scored" },
  limit = { nil, "batches to use; the whole epoch without it", type = "integer", least = 1 },
  checkpoint = { "none", "`block` recomputes activations: less memory, more time" },
}

local function collect(name, model, batches, kind, given)
  local o = options.read(name, defaults, given)
  o.kind = kind
  return lota.train.grad_scores(model, batches, o)
end

local gradient = { defaults = defaults }

--- |g| of the mean loss over the batches.
function gradient.gradient(model, batches, given)
  return collect("scores.gradient", model, batches, "gradient", given)
end

--- g², averaged over the batches: the empirical Fisher diagonal, up to a constant, as in FISH masks (arXiv 2111.09839).
function gradient.fisher(model, batches, given)
  return collect("scores.fisher", model, batches, "fisher", given)
end

--- |w · g|: the first-order change of the loss if the entry were removed, as in SNIP (arXiv 1810.02340).
function gradient.weight_gradient(model, batches, given)
  return collect("scores.weight_gradient", model, batches, "gradient", given):map(function(name, g)
    return g:mul(model:param(name):to("f32"):abs())
  end)
end

--- -w · g, the mean over the batches, as in movement pruning (arXiv 2005.07683, section 3): positive where a step of
-- gradient descent moves the weight away from zero. What differs: the weights stand still, instead of moving between the
-- batches. A mask ranks magnitudes; `scores.movement(…):maximum(0)` leaves the entries that grow.
function gradient.movement(model, batches, given)
  local seen = {}
  local function sum(name, g, gathered)
    seen[name] = (seen[name] or 0) + 1
    return gathered and gathered:add(g) or g
  end
  return collect("scores.movement", model, batches, sum, given):map(function(name, g)
    return g:mul(model:param(name):to "f32"):mul(-1 / seen[name])
  end)
end

return gradient
