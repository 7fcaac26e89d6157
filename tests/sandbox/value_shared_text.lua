-- expect: limit may use
-- One text, held many times over.
local lota = require("lota")
local t, text = {}, ("x"):rep(1000000)
for i = 1, 1000 do
  t[i] = text
end
return lota.json.encode(t)
