-- expect: limit tensors
-- A small row and a small column make a large matrix.
local lota = require("lota")
return lota.ones({ 100000, 1 }) + lota.ones({ 1, 100000 })
