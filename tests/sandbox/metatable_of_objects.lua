-- expect: ok
-- The methods of values of lota cannot be replaced.
local x = require("lota").zeros({ 1 })
assert(not getmetatable(x))
assert(not pcall(setmetatable, x, {}))
assert(not pcall(function()
  x.sum = print
end))
