-- expect: runtime __len
-- The same, sorted by a function in C.
table.sort(
  setmetatable({}, {
    __len = function()
      return 2000000000
    end,
  }),
  type
)
