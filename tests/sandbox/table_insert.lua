-- expect: runtime __len
-- A table that claims a length, shifted.
table.insert(
  setmetatable({}, {
    __len = function()
      return 1000000000000000
    end,
  }),
  1,
  0
)
