-- expect: limit may use
-- The same inside a coroutine.
local co = coroutine.create(function()
  return ("x"):rep(1000000000)
end)
while true do
  coroutine.resume(co)
end
