-- expect: limit tensors need
-- A file of some bytes that describes a model of any size.
local lota = require("lota")
return lota.mask.random(lota.mask.load("big.mask"), { density = 0.3, params = "all" })
