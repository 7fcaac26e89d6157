-- expect: limit instructions
-- The collector, called so often that hooks are rare.
local kept = {}
for i = 1, 20000 do
  kept[i] = { i }
end
while true do
  collectgarbage()
end
