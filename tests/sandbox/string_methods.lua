-- expect: limit instructions
-- Methods of strings are the guarded ones.
return getmetatable("").__index.find(("a"):rep(30000), (".-"):rep(50) .. "b")
