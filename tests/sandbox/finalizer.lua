-- expect: runtime __gc
-- A finalizer runs where no hook looks.
setmetatable({}, {
  __gc = function()
    while true do
    end
  end,
})
