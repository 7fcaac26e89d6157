-- expect: limit longer
-- Products of large matrices.
local lota = require("lota")
local x = lota.ones({ 1800, 1800 })
while true do
  local _ = x:matmul(x)
end
