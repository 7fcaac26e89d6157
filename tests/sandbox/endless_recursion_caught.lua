-- expect: limit deep
-- Recursion with a pcall around it.
local function f()
  return 1 + f()
end
while true do
  pcall(f)
end
