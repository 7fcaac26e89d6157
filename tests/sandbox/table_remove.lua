-- expect: runtime __len
-- The same, removed from.
table.remove(
  setmetatable({}, {
    __len = function()
      return 1000000000000000
    end,
    __metatable = false,
  }),
  1
)
