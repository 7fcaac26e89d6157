-- expect: argument nested too deeply
-- A table that contains itself, given to a primitive.
local t = {}
t.t = t
return require("lota").json.encode(t)
