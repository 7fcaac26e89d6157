-- expect: argument times `head_dim`
local lota = require("lota")
local c = lota.model.init("tiny"):config()
c.head_dim = 1 << 62
return lota.model.init(c)
