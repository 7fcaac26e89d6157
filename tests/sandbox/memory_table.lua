-- expect: limit may use
-- A table that grows.
local t = {}
while true do
  t[#t + 1] = {}
end
