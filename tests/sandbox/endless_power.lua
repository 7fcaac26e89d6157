-- expect: argument power is 1099511627776
local lota = require("lota")
local m = lota.model.init("tiny")
local before = m:snapshot()
m:set_param("model.layers.0.mlp.up_proj.weight", m:param("model.layers.0.mlp.up_proj.weight"):mul(2))
return lota.lora.extract(m:delta(before), { rank = 4, power = 1 << 40 })
