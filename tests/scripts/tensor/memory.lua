-- no twin: Rhai frees a tensor with its last reference; there is no collector to run
-- Lua's collector does not see a tensor's bytes: the engine counts them and collects in time.
local lota = require "lota"
local last
for _ = 1, 400 do
  last = lota.zeros { 1024, 1024 } -- 4 MiB
end
assert(last:count() == 1024 * 1024)
local memory = lota.memory()
assert(memory.collections > 5, "the collector ran " .. memory.collections .. " times")
assert(memory.peak <= 200 * 1024 * 1024, ("peak %d MiB"):format(memory.peak // 1048576))
