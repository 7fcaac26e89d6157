-- expect: limit tensors need
-- A running sum of numbers that take no memory.
local lota = require("lota")
return lota.ones({ 1 }):expand({ 8000000 }):cumsum(1)
