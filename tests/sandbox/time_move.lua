-- expect: limit longer
-- A move of what a function in C gives.
local t = setmetatable({}, { __index = type })
while true do
  table.move(t, 1, 1900000, 1, setmetatable({}, { __newindex = rawequal }))
end
