-- expect: limit
-- Deep recursion through pcall, over and over.
local function f()
  return pcall(f) or f()
end
f()
