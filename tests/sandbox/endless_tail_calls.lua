-- expect: limit instructions
-- Tail calls need no stack.
local function f()
  return f()
end
f()
