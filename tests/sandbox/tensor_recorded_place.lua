-- expect: limit recorded
-- The same, in place.
local lota = require("lota")
local w, x = lota.ones({ 1 }):requires_grad(), lota.zeros({ 1 })
while true do
  x:add_(w)
end
