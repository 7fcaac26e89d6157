-- expect: limit tensors
-- The same with a pcall around it.
local lota = require("lota")
while true do
  pcall(lota.ones, { 1000, 1000, 1000 })
end
