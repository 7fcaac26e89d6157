-- expect: limit may use
-- A table whose rows are as wide as its widest cell.
local lota = require("lota")
local rows = {}
for i = 1, 10000 do
  rows[i] = { "x" }
end
rows[1] = { ("x"):rep(1000000) }
return #lota.markdown({ "a" }, rows)
