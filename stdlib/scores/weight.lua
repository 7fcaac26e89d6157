--- |w|: the magnitude of each entry, as magnitude pruning ranks them.

local lota = require "lota"
local adaptable = require "lota.scores.adaptable"

return function(model, given)
  local scored = adaptable(model, given, "scores.weight")
  return lota.values.new(model, function(name, weight)
    return scored[name] and weight:to("f32"):abs() or nil
  end)
end
