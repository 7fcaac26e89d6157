-- no twin: the messages are Lua's; those of Rhai are tested in tests/it/rhai.rs
-- What a misuse says: the line, the primitive, what was given, what is expected, the nearest name.
local lota = require "lota"

local function refused(expected, f, ...)
  local ok, message = pcall(f, ...)
  assert(not ok, "was not refused: " .. expected)
  assert(type(message) == "string", "the error is a " .. type(message))
  assert(message:find(expected, 1, true), ("%q does not contain %q"):format(message, expected))
end

refused("rng: argument 'seed' is missing", function()
  return lota.rng()
end)
refused("rng: argument 'seed' must be an integer, got string \"x\"", function()
  return lota.rng "x"
end)
refused("rng: takes 1 value by position, got 2", function()
  return lota.rng(1, 2)
end)
refused("errors.lua:22: rng:", function()
  return lota.rng "x"
end)
refused("write object:below(...)", function()
  return lota.rng(1).below(3)
end)
refused("Rng has no method 'belov'; did you mean 'below'?", function()
  return lota.rng(1):belov(3)
end)
refused("integer, 0 or more", function()
  return lota.rng(1):below(-3)
end)
refused("Rng:below: argument 'n' must be at least 1", function()
  return lota.rng(1):below(0)
end)
refused("lota has no 'rgn'; did you mean 'rng'?", function()
  return lota.rgn
end)
refused("Rng has no operator '+'", function()
  return lota.rng(1) + 1
end)
refused("Rng cannot be called", function()
  return lota.rng(1)()
end)
refused("a Rng has no field to set (x)", function()
  lota.rng(1).x = 1
end)
refused("unknown option 'dtpye'; did you mean 'dtype'?", function()
  return lota.zeros({ 2 }, { dtpye = "f32" })
end)
refused("dtype, one of", function()
  return lota.zeros({ 2 }, { dtype = "f33" })
end)
refused("unknown device 'gpu'", function()
  return lota.zeros({ 2 }, { device = "gpu" })
end)
refused("option 'rng' is missing", function()
  return lota.rand { 2 }
end)
refused("argument 'data' has a list of 1 beside one of 2", function()
  return lota.tensor { { 1, 2 }, { 3 } }
end)
refused("argument 'data' has a number beside a list", function()
  return lota.tensor { { 1, 2 }, 3 }
end)
refused("a table is nested too deeply", function()
  local t = {}
  t[1] = t
  return lota.tensor(t)
end)
refused("positions count from 1, got 0", function()
  return lota.zeros({ 3 })[0]
end)
refused("argument 'i' is 4, outside a tensor of shape {3}", function()
  return lota.zeros({ 3 })[4]
end)
refused("does not fit {2, 3}: the inner lengths differ", function()
  return lota.zeros({ 2, 3 }):matmul(lota.zeros { 2, 3 })
end)
refused("is too large", function()
  return lota.zeros { 1000000000, 1000000000 }
end)
refused("no module 'lota.adpat'; did you mean 'lota.adapt'?", function()
  return require "lota.adpat"
end)
refused("no module 'nowhere'; looked for", function()
  return require "nowhere"
end)
refused("is not the name of a module", function()
  return require "../secret"
end)
refused("argument 'vars' entry 1 was not made by requires_grad()", function()
  return lota.grad(lota.ones({ 1 }):sum(), { lota.ones { 1 } })
end)
refused("attempt to index a nil value", function()
  local x = nil
  return x.y
end)
