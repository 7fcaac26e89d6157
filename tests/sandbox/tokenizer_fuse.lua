-- expect: argument steps of the tokenizer
-- Steps behind that make a thousand of one.
local lota = require("lota")
local run = lota.run.start("t")
local steps = {}
local t = { version = "1.0", added_tokens = {}, model = { type = "BPE", vocab = { h = 0, a = 1 }, merges = {} } }
for i = 1, 8 do
  steps[i] = { type = "Replace", pattern = { String = "h" }, content = ("h"):rep(1000) }
end
t.decoder = { type = "Sequence", decoders = steps }
run:write("k/tokenizer.json", lota.json.encode(t))
local k = lota.tokenizer.load(run:path("k"))
return k:decode(k:encode("hahaha"))
