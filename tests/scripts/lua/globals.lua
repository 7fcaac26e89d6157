-- no twin: globals and what guards them are Lua's
-- Requiring lota sets no global, and the globals there are do not reach past what was granted.
local before = {}
for name in pairs(_G) do
  before[name] = true
end
local lota = require "lota"
local x = lota.ones({ 2 })
assert(x:sum():item() == 2)
for name in pairs(_G) do
  assert(before[name], "a new global: " .. name)
end
assert(require "lota" == lota, "required twice is the same table")
for _, gone in ipairs { "dofile", "loadfile", "package" } do
  assert(rawget(_G, gone) == nil, gone)
end
for name in pairs(debug) do
  assert(name == "traceback", name)
end
assert(type(lota.version) == "string")
