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

test.case("where no name is near, all are told", function()
  test.raises(function()
    options.read("f", defaults, { temperature = 0.2 })
  end, "f: unknown option `temperature`; known are `avoid`, `density`, `steps`")
end)

test.case("a module says which of its names was meant", function()
  local module = options.strict("mine", { weight = 1, gradient = 2 })
  test.raises(function()
    return module.wieght
  end, "mine has no `wieght`; did you mean `weight`?")
  test.raises(function()
    return module.magnitude
  end, "mine has no `magnitude`; known are `gradient`, `weight`")
end)

test.case("a word of other libraries names the option that it is here", function()
  local function refused(given, text)
    test.raises(function()
      options.read("f", { density = 0.1, lr = 1, steps = 1, batch = 1, max_len = 1 }, given)
    end, text)
  end
  refused({ learning_rate = 1 }, "unknown option `learning_rate`; did you mean `lr`?")
  refused({ epochs = 1 }, "did you mean `steps` (an epoch is the number of training rows, divided by `batch`)?")
  refused({ batch_size = 1 }, "did you mean `batch`?")
  refused({ max_length = 1 }, "did you mean `max_len`?")
  refused({ sparsity = 0.9 }, "did you mean `density`, which is 1 - sparsity?")
end)

test.case("an option without a default may be given", function()
  test.equal(options.read("f", defaults, { avoid = "x" }).avoid, "x")
end)

local declared = {
  density = { 0.1, "a fraction", above = 0, most = 1 },
  steps = { 100, "a count", least = 1 },
  scope = { "global", "where", choices = { "global", "layer" } },
  resume = { false, "go on" },
  clip = { nil, "a norm", type = "number" },
  on_step = { nil, "called", type = "function" },
  params = { "all", "names" },
  list = { { 1, 2 }, "a default that is a table" },
}

test.case("an entry says its default and what it is", function()
  local read = options.read("f", declared, { density = 1, params = { "a", "b" }, steps = 2.0 })
  test.equal(read.density, 1)
  test.equal(read.scope, "global")
  test.equal(read.resume, false)
  test.equal(read.clip, nil)
  test.equal(read.list, { 1, 2 })
  test.equal(read.params, { "a", "b" })
end)

test.case("a value that does not fit is refused with what would", function()
  local function refused(given, text)
    test.raises(function()
      options.read("f", declared, given)
    end, text)
  end
  refused({ density = 10 }, "f: option `density` must be a number above 0, and at most 1, got 10")
  refused({ density = 0 }, "f: option `density` must be a number above 0, and at most 1, got 0")
  refused({ density = 0 / 0 }, "f: option `density` must be a number above 0, and at most 1")
  refused({ density = "much" }, 'f: option `density` must be a number above 0, and at most 1, got "much"')
  refused({ steps = 0 }, "f: option `steps` must be a whole number, 1 or more, got 0")
  refused({ steps = 1.5 }, "f: option `steps` must be a whole number, 1 or more, got 1.5")
  refused({ scope = "globe" }, 'f: option `scope` must be one of global, layer, got "globe"')
  refused({ resume = 1 }, "f: option `resume` must be a boolean, got 1")
  refused({ clip = true }, "f: option `clip` must be a number, got true")
  refused({ on_step = "print" }, 'f: option `on_step` must be a function, got "print"')
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
