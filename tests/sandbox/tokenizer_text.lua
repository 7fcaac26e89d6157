-- expect: argument in parts
-- A text that would be turned into tokens at once.
local lota = require("lota")
local t = lota.tokenizer.train({ "abc" }, { vocab = 300 })
return t:encode(("abc "):rep(1000000))
