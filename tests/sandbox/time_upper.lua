-- expect: limit longer
-- Long texts made large, again and again: each takes as long as many instructions.
local text = ("x"):rep(4000000)
while true do
  local _ = text:upper()
end
