-- expect: runtime length 0
-- Parts of no length, at which the reader gives up.
local lota = require("lota")
local run = lota.run.start("t")
local steps = {}
local t = { version = "1.0", added_tokens = {}, model = { type = "BPE", vocab = { h = 0, a = 1 }, merges = {} } }
t.pre_tokenizer = { type = "FixedLength", length = 0 }
run:write("k/tokenizer.json", lota.json.encode(t))
local k = lota.tokenizer.load(run:path("k"))
return k:decode(k:encode("hahaha"))
