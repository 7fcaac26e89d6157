--- The parameters that a score covers: a set of names, from the `params` option ("adaptable" unless told).

local lota = require "lota"
local options = require "lota.options"

local defaults = { params = { "adaptable", "the parameters that are scored" } }

return function(model, given, where, more)
  local o = options.read(where, options.with(defaults, more or {}), given)
  local names = {}
  for name, entries in pairs(lota.mask.all(model, { params = o.params }):by "parameter") do
    names[name] = entries > 0
  end
  return names, o
end
