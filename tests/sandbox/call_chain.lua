-- expect: limit metatables
-- A call that goes to another table, and from there to another: the interpreter looks at nothing on the way.
local t = print
for _ = 1, 100000 do
  t = setmetatable({}, { __call = t })
end
t()
