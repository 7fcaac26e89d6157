-- no twin: what `error` and `pcall` do is Lua's; `throw` and `catch` are tested in tests/it/rhai.rs
-- A thrown value arrives as itself, through Rust callbacks too.
local thrown = { code = 5 }
local ok, caught = pcall(error, thrown)
assert(not ok and caught == thrown)

ok, caught = xpcall(function()
  error(thrown)
end, function(e)
  return { wrapped = e }
end)
assert(not ok and caught.wrapped == thrown)

ok, caught = xpcall(function()
  local x = nil
  return x.y
end, debug.traceback)
assert(not ok and caught:find("stack traceback", 1, true))

-- Results and yields pass through the guards.
assert(select(
  "#",
  pcall(function()
    return 1, nil, nil
  end)
) == 4)
local co = coroutine.create(function(a)
  local ok2, b = pcall(function()
    return coroutine.yield(a + 1)
  end)
  assert(ok2)
  error({ at = b })
end)
local ok1, first = coroutine.resume(co, 1)
assert(ok1 and first == 2)
local ok2, failed = coroutine.resume(co, 7)
assert(not ok2 and failed.at == 7)
local wrapped = coroutine.wrap(function()
  error("inside", 0)
end)
ok, caught = pcall(wrapped)
assert(not ok and caught:find "inside")

-- No finalizers, no bytecode.
ok, caught = pcall(setmetatable, {}, { __gc = function() end })
assert(not ok and caught:find "__gc")
assert(load("return 1 + 1")() == 2)
assert(load("return x", "chunk", "t", { x = 3 })() == 3)
assert(string.dump == nil)
local f, why = load "\27LuaT"
assert(f == nil and why:find "binary")
