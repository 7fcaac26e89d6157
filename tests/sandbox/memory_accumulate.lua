-- expect: argument accumulate must be from 1 to 65536
local lota = require("lota")
local m = lota.model.init("tiny")
local t = lota.train.new(m, { accumulate = 1 << 40, lr = 1 })
return t:fit(lota.data.batches(lota.data.examples(m, { { text = "a" } }), { size = 1 }), { steps = 1 })
