-- expect: limit tensors need
-- Tokenizers that are held: their memory is not the interpreter's.
local lota = require("lota")
local held = {}
while true do
  held[#held + 1] = lota.tokenizer.train({ "one two three four" }, { vocab = 300, min_frequency = 1 })
end
