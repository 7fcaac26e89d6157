-- Positions count from 1, -1 is the last; stored positions are not shifted.
local lota = require "lota"
local x = lota.arange(1, 24):reshape { 2, 3, 4 }
assert(x[1][1][1] == 1 and x[2][3][4] == 24 and x[-1][-1][-1] == 24)
assert(x[{ 2, 1 }][3] == 15 and x:index(2, 1, 3) == 15)
assert(x:narrow(2, 2):shape()[2] == 2 and x:narrow(-1, -1):shape()[3] == 1)
assert(x:sum(3):shape()[2] == 3 and #x:sum(3):shape() == 2)
assert(#x:sum(3, { keep = true }):shape() == 3 and #x:sum(-1):shape() == 2)
assert(x:select(3, { 4, 1 })[1][1][1] == 4)
assert(lota.tensor({ 5, 9, 7 }):argmax():item() == 1)
assert(x:permute({ 3, 1, 2 }):shape()[1] == 4)
assert(x:t():shape()[3] == 3 and x:t(1, 2):shape()[1] == 3)
assert(#lota.cat({ x, x }, 2)[1] == 6 and #lota.stack { x, x } == 2)
local ids = lota.tensor({ 2, 0 }, { dtype = "u32" })
assert(lota.tensor({ 5, 6, 7 }):select(1, ids)[1] == 7)
assert(lota.tensor({ 1, 2 }):matmul(lota.tensor { 3, 4 }):item() == 11)
assert(lota.tensor({ { 1, 2 } }):matmul(lota.tensor { 3, 4 }):shape()[1] == 1)
assert(#lota.tensor({ 1, 2 }):matmul(lota.zeros { 2, 5 }):shape() == 1)
assert(lota.zeros({ 7, 2, 3 }):matmul(lota.zeros { 3, 4 }):shape()[3] == 4)

-- A position beyond the end is an error that says where it stands, whatever type holds it: never a zero, never cut off.
local function refused(what, ...)
  local ok, err = pcall(...)
  local text = tostring(err)
  assert(not ok and text:find(what, 1, true), text)
end
local y = lota.tensor { { 5, 6 }, { 7, 8 } }
for _, bad in ipairs { 2, 4294967295 } do
  local at = lota.tensor({ { 0, bad } }, { dtype = "u32" })
  refused("holds " .. bad .. " at {0, 1}", y.gather, y, 1, at)
  refused("length of 2", y.select, y, 1, lota.tensor({ bad }, { dtype = "u32" }))
end
for _, bad in ipairs { -1, 0.5, 0 / 0, 1 / 0 } do
  refused("length of 2", y.gather, y, 1, lota.tensor { { bad, 0 } })
  refused("length of 2", y.select, y, 2, lota.tensor { bad })
end
refused("length of 2", y.gather, y, 1, lota.tensor({ { -1, 0 } }, { dtype = "i64" }))
refused("length of 2", y.select, y, 1, { 3 })
refused("length of 2", y.select, y, 1, { -3 })
refused("count from 1", y.select, y, 1, { 0 })
refused("length of 0", function()
  return lota.zeros({ 0 }):select(1, lota.tensor { 0 })
end)
assert(y:gather(1, lota.tensor({ { 1, 0 } }, { dtype = "i64" })):totable()[1][1] == 7)
assert(lota.tensor({ 9 }):select(1, { -1, 1 }):sum():item() == 18)
refused("goes past the end", y.narrow, y, 1, 2, { len = 2 })
refused("outside a length of 2", y.narrow, y, 1, 3)
-- Types of whole numbers hold what they are given or refuse it.
refused("u8 cannot", lota.tensor, { 300 }, { dtype = "u8" })
refused("u32 cannot", lota.tensor, { -1 }, { dtype = "u32" })
refused("i64 cannot", lota.tensor, { 0.5 }, { dtype = "i64" })
refused("i32 cannot", lota.full, { 2 }, 0 / 0, { dtype = "i32" })
-- The number is the one that was written, counted as it was.
refused("holds 4, which is no position in a length of 3, counted from 1", x.select, x, 2, { 4 })
refused("holds -5, which is no position", x.select, x, 2, { -5 })
refused("must be a list of positions or a Tensor, got the number 4 alone", x.select, x, 2, 4)
refused("argument 'dim' must be a dim", x.select, x, { 2 }, { 1 })

local test = require "lota.test"

test.case("NaN is the largest and the smallest wherever it stands", function()
  for _, list in ipairs { { 1, 0 / 0, 3 }, { 0 / 0, 3, 1 }, { 3, 1, 0 / 0 } } do
    local x = lota.tensor(list)
    for _, found in ipairs { x:max():item(), x:min():item(), x:max(1):item() } do
      test.equal(found ~= found, true)
    end
    local place = x:argmax():item() + 1
    test.equal(list[place] ~= list[place], true)
    test.equal(x:argmin():item() + 1, place)
  end
end)
