-- expect: ok
-- One that is added later is never called.
local mt = {}
local t = setmetatable({}, mt)
mt.__gc = function()
  while true do
  end
end
t = nil
collectgarbage()
