-- expect: runtime at once
-- The same, joined.
return table.concat(
  setmetatable({}, {
    __index = function()
      return ""
    end,
  }),
  "",
  1,
  1000000000000000
)
