-- expect: argument bytes long
-- Names that a bar keeps, outside of the interpreter's memory.
local lota = require("lota")
local held = {}
while true do
  held[#held + 1] = lota.progress(("x"):rep(1000000), 0)
end
