-- expect: limit tensors
-- One tensor, joined to itself many times.
local lota = require("lota")
local x, t = lota.ones({ 1000000 }), {}
for i = 1, 1000 do
  t[i] = x
end
return lota.cat(t)
