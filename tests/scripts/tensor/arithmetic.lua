-- Arithmetic: broadcasting, numbers on either side, types.
local lota = require "lota"

local function same(x, expected)
  local got = lota.json and lota.json.encode(x:totable()) or ""
  assert(x:equals(lota.tensor(expected, { dtype = x:dtype() })), "got " .. tostring(x) .. got)
end

local a, row = lota.tensor { { 1, 2 }, { 3, 4 } }, lota.tensor { 10, 20 }
same(a + row, { { 11, 22 }, { 13, 24 } })
same(a - 1, { { 0, 1 }, { 2, 3 } })
same(10 - a, { { 9, 8 }, { 7, 6 } })
same(2 * a, { { 2, 4 }, { 6, 8 } })
same(12 / a, { { 12, 6 }, { 4, 3 } })
same(a ^ 2, { { 1, 4 }, { 9, 16 } })
same(2 ^ a, { { 2, 4 }, { 8, 16 } })
same(-a, { { -1, -2 }, { -3, -4 } })
assert((a + 1):dtype() == "f32")

-- Whole numbers stay whole until a fraction comes in; a quotient is never cut off.
local whole = lota.tensor({ 1, 2, 3 }, { dtype = "u32" })
assert((whole + 1):dtype() == "u32" and (whole * 0.5):dtype() == "f32")
same(whole * 0.5, { 0.5, 1, 1.5 })
same(whole / 2, { 0.5, 1, 1.5 })
same(whole - 2.5, { -1.5, -0.5, 0.5 })
same(whole:gt(1.5), { 0, 1, 1 })
assert((whole + lota.ones { 3 }):dtype() == "f32")
assert((lota.ones({ 1 }, { dtype = "bf16" }) + lota.ones({ 1 }, { dtype = "f16" })):dtype() == "f32")

-- Half precision is summed in f32.
assert(lota.full({ 10000 }, 1, { dtype = "bf16" }):sum():item() == 10000)

-- In place: the tensor itself changes; type and shape stay.
local x = lota.tensor({ 1, 2 }, { dtype = "bf16" })
local same_x = x:add_(1):mul_(2)
assert(x:dtype() == "bf16")
same(x, { 4, 6 })
same(same_x, { 4, 6 })
assert(not pcall(function()
  x:add_(lota.ones { 2, 2 })
end))
