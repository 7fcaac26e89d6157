-- expect: limit longer
-- A long list sorted by a function in C.
local t = {}
for i = 1, 500000 do
  t[i] = (i * 7919) % 500009
end
while true do
  table.sort(t, math.ult)
  for i = 1, 1000 do
    t[i], t[i + 1000] = t[i + 1000], t[i]
  end
end
