-- expect: limit instructions
-- A loop inside a coroutine, again and again.
while true do
  local co = coroutine.create(function()
    while true do
    end
  end)
  coroutine.resume(co)
end
