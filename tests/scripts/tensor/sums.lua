-- no twin: the numbers are those of the primitives, which do not know the language
-- Sums of many numbers, running sums, and derivatives where there is more than one.
local lota = require "lota"
local test = require "lota.test"

test.case("many numbers are summed without losing digits", function()
  local many = lota.full({ 3000000 }, 0.1)
  local each = many:index(1)
  test.near(many:sum():item(), 3000000 * each, 0.05)
  test.near(many:mean():item(), each, 1e-8)
  test.near(many:norm():item(), math.sqrt(3000000) * each, 1e-4)
  local columns = lota.full({ 1000000, 2 }, 2.3)
  test.near(columns:mean(1):index(1), lota.full({ 1 }, 2.3):item(), 1e-6)
  test.near(lota.cat({ columns, columns + 1 }):std(1):index(1), 0.5, 1e-6)
  for _, dtype in ipairs { "bf16", "f16", "f32" } do
    local sum = lota.ones({ 5000 }, { dtype = dtype }):sum()
    test.equal({ sum:item(), sum:dtype() }, { 5000, "f32" })
  end
  test.equal(lota.ones({ 2 }, { dtype = "f64" }):sum():dtype(), "f64")
  test.equal(lota.tensor({ 16777217, 1 }, { dtype = "i32" }):mean():item(), 8388609)
end)

test.case("a running sum is that of a loop, whatever its length, and needs no square of it", function()
  for _, length in ipairs { 0, 1, 2, 255, 256, 257, 1000, 70000 } do
    local x = lota.randn({ 2, length }, { rng = lota.rng(length) })
    local sums = x:cumsum():totable()
    for r, row in ipairs(x:totable()) do
      local sum = 0
      for i, number in ipairs(row) do
        sum = sum + number
        assert(
          math.abs(sum - sums[r][i]) < 1e-3,
          ("%d numbers: sum %d is %g, not %g"):format(length, i, sums[r][i], sum)
        )
      end
    end
  end
  test.equal(lota.ones({ 500000 }):cumsum():index(-1), 500000)
  local sides = lota.tensor { { 1, 2 }, { 3, 4 } }
  test.equal(sides:cumsum(1):totable(), { { 1, 2 }, { 4, 6 } })
  test.equal(sides:cumsum(2):totable(), { { 1, 3 }, { 3, 7 } })
  local whole = lota.tensor({ 16777217, 1 }, { dtype = "i32" }):cumsum()
  test.equal({ whole:dtype(), whole:totable() }, { "i64", { 16777217, 16777218 } })
  test.equal(lota.tensor({ 1, 1 / 0, 2 }):cumsum():totable(), { 1, 1 / 0, 1 / 0 })
  local x = lota.ones({ 600 }):requires_grad()
  local slope = lota.grad(x:cumsum():sum(), { x })[1]
  test.equal({ slope:index(1), slope:index(300), slope:index(-1) }, { 600, 301, 1 })
end)

test.case("whole numbers have negatives and squares", function()
  for _, dtype in ipairs { "u8", "u32", "i16", "i32", "i64" } do
    local x = lota.tensor({ 1, 3 }, { dtype = dtype })
    test.equal({ (-x):totable(), x:square():totable() }, { { -1, -3 }, { 1, 9 } }, dtype)
  end
  test.equal((-lota.tensor({ 1, 2 }):gt(1)):totable(), { 0, -1 })
  test.raises(function()
    lota.tensor({ 2 ^ 53 }, { dtype = "i64" })
  end, "whole numbers from -9007199254740991 to 9007199254740991")
end)

test.case("the derivative of a largest number is shared by all that are it; that of a length at 0 is 0", function()
  local x = lota.tensor({ 1, 1, 0 }):requires_grad()
  test.equal(lota.grad(x:max(), { x })[1]:totable(), { 0.5, 0.5, 0 })
  test.equal(lota.grad(x:min(), { x })[1]:totable(), { 0, 0, 1 })
  local rows = lota.tensor({ { 2, 5 }, { 3, 3 } }):requires_grad()
  test.equal(lota.grad((rows:max(2) * lota.tensor { 1, 4 }):sum(), { rows })[1]:totable(), { { 0, 1 }, { 2, 2 } })
  local infinite = lota.tensor({ 1 / 0, 1 }):requires_grad()
  test.equal(infinite:max():item(), 1 / 0)
  local zero = lota.zeros({ 2 }):requires_grad()
  test.equal(lota.grad(zero:norm(), { zero })[1]:totable(), { 0, 0 })
  local three = lota.tensor({ 3, 4 }):requires_grad()
  local slope = lota.grad(three:norm(), { three })[1]:totable()
  test.near(slope[1], 0.6, 1e-6)
  test.near(slope[2], 0.8, 1e-6)
end)

test.case("there is no spread of fewer than two numbers", function()
  for _, x in ipairs { lota.tensor {}, lota.tensor { 5 } } do
    local var, std = x:var():item(), x:std():item()
    assert(var ~= var and std ~= std)
  end
  local none = lota.zeros({ 2, 0 }):std(2):totable()
  assert(#none == 2 and none[1] ~= none[1])
end)
