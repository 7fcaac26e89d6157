-- expect: ok
-- A plain search takes time linear in the text.
local s = ("a"):rep(1000000)
assert(s:find(("a"):rep(500000) .. "b", 1, true) == nil)
