-- expect: ok
-- Positions that are made only as far as they are used.
local lota = require("lota")
local c = lota.model.init("tiny"):config()
c.max_position_embeddings = 1000000000000
local m = lota.model.init(c)
return #m:logp(lota.data.batch({ { 1, 2, 3 } }))
