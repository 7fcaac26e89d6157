-- expect: argument steps of the tokenizer
-- A text that is put around itself.
local lota = require("lota")
local run = lota.run.start("t")
local steps = {}
local t = { version = "1.0", added_tokens = {}, model = { type = "BPE", vocab = { h = 0, a = 1 }, merges = {} } }
for i = 1, 5000 do
  steps[i] = { Sequence = { id = "A", type_id = 0 } }
end
local special = { x = { id = "x", ids = { 0 }, tokens = { "h" } } }
local one = { type = "TemplateProcessing", single = steps, pair = steps, special_tokens = special }
t.post_processor = { type = "Sequence", processors = { one, one, one } }
run:write("k/tokenizer.json", lota.json.encode(t))
local k = lota.tokenizer.load(run:path("k"))
return k:decode(k:encode("hahaha"))
