-- expect: argument steps of the tokenizer
-- Steps before that double a text.
local lota = require("lota")
local run = lota.run.start("t")
local steps = {}
local t = { version = "1.0", added_tokens = {}, model = { type = "BPE", vocab = { h = 0, a = 1 }, merges = {} } }
for i = 1, 40 do
  steps[i] = { type = "Replace", pattern = { String = "a" }, content = "aa" }
end
t.normalizer = { type = "Sequence", normalizers = steps }
run:write("k/tokenizer.json", lota.json.encode(t))
local k = lota.tokenizer.load(run:path("k"))
return k:decode(k:encode("hahaha"))
