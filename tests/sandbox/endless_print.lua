-- expect: limit instructions
-- The same inside print.
print(setmetatable({}, {
  __tostring = function()
    while true do
    end
  end,
}))
