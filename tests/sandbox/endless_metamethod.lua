-- expect: limit instructions
-- An index that does not end.
local t = setmetatable({}, {
  __index = function()
    while true do
    end
  end,
})
pcall(function()
  return t.x
end)
