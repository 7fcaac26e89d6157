-- expect: limit may use
-- A format with many long pieces.
local s = ("x"):rep(2000000)
return #string.format(
  ("%s"):rep(100),
  table.unpack((function()
    local t = {}
    for i = 1, 100 do
      t[i] = s
    end
    return t
  end)())
)
