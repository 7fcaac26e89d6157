-- expect: runtime tokenizer
-- A table of characters that is none.
local lota = require("lota")
local run = lota.run.start("t")
local steps = {}
local t = { version = "1.0", added_tokens = {}, model = { type = "BPE", vocab = { h = 0, a = 1 }, merges = {} } }
t.normalizer = { type = "Precompiled", precompiled_charsmap = "AAAA" }
run:write("k/tokenizer.json", lota.json.encode(t))
local k = lota.tokenizer.load(run:path("k"))
return k:decode(k:encode("hahaha"))
