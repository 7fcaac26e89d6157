-- expect: limit tensors need
-- A vocabulary that no tensor of the script could hold.
local lota = require("lota")
local c = lota.model.init("tiny"):config()
c.vocab_size = 60000000
return lota.model.init(c)
