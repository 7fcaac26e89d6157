-- expect: limit may use
-- A table that holds another twice, and that one another twice: each way to it becomes a value of its own.
local lota = require("lota")
local t = { 1 }
for _ = 1, 40 do
  t = { t, t }
end
return lota.json.encode(t)
