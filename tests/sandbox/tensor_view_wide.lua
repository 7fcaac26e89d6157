-- expect: limit tensors need
-- A view wider than all that may be.
local lota = require("lota")
return lota.ones({ 1 }):expand({ 100000000 })
