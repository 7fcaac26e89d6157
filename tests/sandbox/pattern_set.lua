-- expect: limit instructions
-- A set of a megabyte, for each letter.
local set = "[" .. ("b"):rep(1000000) .. "]"
local s = ("a"):rep(100000)
while true do
  s:find(set)
end
