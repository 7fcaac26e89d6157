-- expect: runtime at once
-- A table of few entries whose length is that of the last: everything before is shifted.
local names = {}
for i = 1, 200 do
  names[i] = "k" .. i .. " = 1"
end
local t = load("return {" .. table.concat(names, ", ") .. "}")()
for name in pairs(t) do
  t[name] = nil
end
for i = 0, 40 do
  t[1 << i] = 1
end
table.insert(t, 1, 0)
