-- expect: runtime at once
-- The same, removed from.
local t = {}
for i = 0, 40 do
  t[2 ^ i // 1 | 0] = 1
end
table.remove(t, 1)
