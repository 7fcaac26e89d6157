-- expect: limit recorded
-- A record that letting go of, and a backward pass, would go into operation by operation.
local lota = require("lota")
local x = lota.ones({ 1 }):requires_grad()
while true do
  x = x + 1
end
