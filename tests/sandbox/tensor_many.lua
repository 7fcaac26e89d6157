-- expect: limit tensors
-- Tensors that are kept.
local lota = require("lota")
local t = {}
for i = 1, 1000 do
  t[i] = lota.zeros({ 1000, 1000 })
end
