-- expect: limit may use
-- Functions that keep functions.
local f = function() end
while true do
  local g = f
  f = function()
    return g
  end
end
