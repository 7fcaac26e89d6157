-- expect: argument looks at no clock
-- A decomposition that would take seconds.
local lota = require("lota")
return lota.rand({ 700, 700 }, { rng = lota.rng(1) }):svd()
