-- expect: limit tensors need
-- A chain of results, each as large as may be.
local lota = require("lota")
return lota.ones({ 1 }):expand({ 8000000 }):exp():exp():exp():sqrt():to("f64")
