-- expect: ok
-- Lists in lists: the interpreter goes into none of them on the stack, and no primitive takes them.
local lota = require("lota")
local t = {}
for _ = 1, 50000 do
  t = { t }
end
assert(not pcall(lota.json.encode, t))
