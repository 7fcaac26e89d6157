-- expect: runtime at once
-- A table of few entries whose length is that of the last: everything before is shifted.
local t = {}
for i = 0, 40 do
  t[2 ^ i // 1 | 0] = 1
end
table.insert(t, 1, 0)
