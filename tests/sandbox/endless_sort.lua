-- expect: limit instructions
-- A comparison that does not end, inside a sort.
local t = { 3, 1, 2 }
table.sort(t, function()
  while true do
  end
end)
