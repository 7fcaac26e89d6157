-- no twin: the module is Lua's; Rhai's own is part of what tests/it/rhai.rs compares
-- lota.options: defaults, unknown names, overlays.
local options = require "lota.options"
local test = require "lota.test"

local defaults = { density = 0.1, steps = 100, avoid = options.optional }

test.case("given values replace defaults, and the defaults stay as they were", function()
  test.equal(options.read("f", defaults, { steps = 5 }), { density = 0.1, steps = 5 })
  test.equal(defaults.steps, 100)
end)

test.case("an unknown option names the nearest known one", function()
  test.raises(function()
    options.read("adapt.lota", defaults, { desnity = 0.2 })
  end, "adapt.lota: unknown option `desnity`; did you mean `density`?")
end)

test.case("an option without a default may be given", function()
  test.equal(options.read("f", defaults, { avoid = "x" }).avoid, "x")
end)

test.case("overlays change neither side", function()
  local base = { a = 1, b = 2 }
  test.equal(options.with(base, { b = 3 }), { a = 1, b = 3 })
  test.equal(base, { a = 1, b = 2 })
end)

test.case("names can be left out, and the table stays as it was", function()
  local base = { a = 1, b = 2 }
  test.equal(options.without(base, { "b", "c" }), { a = 1 })
  test.equal(base, { a = 1, b = 2 })
  test.equal(options.without(nil, { "b" }), {})
end)
