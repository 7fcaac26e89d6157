--- w_now - w_before: how far training moved each entry. The score of LoTA (arXiv 2406.16797, section 3); selection ranks by
-- magnitude.
--
-- One step of RMSprop or Adam moves every entry by nearly the same amount, so after a single step this says little;
-- rank by scores.gradient there.

local options = require "lota.options"

local defaults = { params = { "adaptable", "the parameters that are scored" } }

return function(model, before, given)
  local o = options.read("scores.delta", defaults, given)
  return model:delta(before, { params = o.params })
end
