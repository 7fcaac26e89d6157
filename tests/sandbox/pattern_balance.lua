-- expect: limit instructions
-- Brackets that never close, looked for from each.
local s = ("("):rep(200000)
return s:find("%b()")
