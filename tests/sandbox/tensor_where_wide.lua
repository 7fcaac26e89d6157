-- expect: limit tensors need
-- A choice for numbers that take no memory.
local lota = require("lota")
return lota.ones({ 1 }):expand({ 8000000 }):where(1, 2)
