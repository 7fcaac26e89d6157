-- expect: limit tensors need
-- A deviation, taken in twice the width.
local lota = require("lota")
return lota.ones({ 1 }):expand({ 8000000 }):std()
