-- expect: limit longer
-- Long texts turned around, again and again: each takes as long as many instructions.
local text = ("x"):rep(4000000)
while true do
  local _ = text:reverse()
end
