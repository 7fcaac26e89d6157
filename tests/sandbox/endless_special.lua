-- expect: argument special tokens are too many
local lota = require("lota")
local special = {}
for i = 1, 100000 do
  special[i] = "<" .. i .. ">"
end
return lota.tokenizer.train({ "abc" }, { vocab = 200000, special = special })
