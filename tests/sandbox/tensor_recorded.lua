-- expect: limit tensors need
-- A record of operations holds all that went into it, whether the script does or not.
local lota = require("lota")
local x = lota.ones({ 1000000 }):requires_grad()
while true do
  x = x:exp()
end
