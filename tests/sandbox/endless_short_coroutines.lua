-- expect: limit instructions
-- Each coroutine ends before the hook looks at it.
local function short()
  for _ = 1, 100 do
  end
end
while true do
  coroutine.wrap(short)()
end
