-- expect: limit tensors need
-- More elements taken than there are.
local lota = require("lota")
return lota.ones({ 2 }):gather(1, lota.zeros({ 1 }, { dtype = "u32" }):expand({ 8000000 }))
