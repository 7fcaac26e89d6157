-- expect: limit longer
-- Long texts cut, again and again: each takes as long as many instructions.
local text = ("x"):rep(4000000)
while true do
  local _ = text:sub(2)
end
