--- Uniform noise: a score that knows nothing. Ranks the same for the same seed.

local lota = require "lota"
local adaptable = require "lota.scores.adaptable"

local defaults = { seed = { 0, "of the draw" } }

return function(model, given)
  local scored, o = adaptable(model, given, "scores.random", defaults)
  local rng = lota.rng(o.seed)
  return lota.values.new(model, function(name, weight)
    return scored[name] and lota.rand(weight:shape(), { rng = rng }) or nil
  end)
end
