-- expect: limit instructions
-- A thrown value whose text does not end.
error(setmetatable({}, {
  __tostring = function()
    while true do
    end
  end,
}))
