-- expect: limit longer
-- A long row sorted.
local lota = require("lota")
local x = lota.rand({ 1200000 }, { rng = lota.rng(1) })
while true do
  local _ = x:sort()
end
