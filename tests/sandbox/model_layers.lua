-- expect: argument layers
-- A number of layers whose list alone would fill the memory.
local lota = require("lota")
local c = lota.model.init("tiny"):config()
c.num_hidden_layers = 9007199254740992
return lota.model.init(c)
