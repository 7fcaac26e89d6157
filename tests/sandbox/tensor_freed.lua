-- expect: ok
-- What the collector can free is no reason to stop.
local lota = require("lota")
local sum = 0
for _ = 1, 200 do
  sum = sum + lota.ones({ 1000, 1000 }):sum():item()
end
assert(sum == 2e8)
