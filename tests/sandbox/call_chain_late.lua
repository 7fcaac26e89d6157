-- expect: limit metatables
-- The same, made after the metatables were set.
local all = {}
for i = 1, 100000 do
  local mt = {}
  all[i] = { setmetatable({}, mt), mt }
end
for i = 2, #all do
  all[i][2].__call = all[i - 1][1]
end
all[#all][1]()
