-- expect: ok
-- A vocabulary larger than any that the text could give.
local lota = require("lota")
assert(lota.tokenizer.train({ "abc" }, { vocab = 1000000000 }):size() < 300)
