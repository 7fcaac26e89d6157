-- no twin: `require` is Lua's; `import` is tested in tests/it/rhai.rs
-- Modules beside the script, cycles, and errors inside a module.
local shape = require "modules.shape"
assert(shape.area(2, 3) == 6)
assert(require "modules.shape" == shape)
assert(require "modules.nested" == "an init file")
local ok, why = pcall(require, "modules.cycle")
assert(not ok and why:find("requires itself", 1, true), why)
ok, why = pcall(require, "modules.broken")
assert(not ok and why:find("broken.lua:2: on purpose", 1, true), why)
