-- Line charts: markers, logarithmic axes, charts in characters.
local lota = require "lota"
local test = require "lota.test"

local rates = { { name = "lotto", x = { 1e-5, 1e-4, 1e-3 }, y = { 0.2, 0.6, 0.5 } } }

local function count(text, part)
  local found, from = 0, 1
  while true do
    local at = text:find(part, from, true)
    if not at then
      return found
    end
    found, from = found + 1, at + #part
  end
end

test.case("markers are for all series, or for those that say so", function()
  local circle, square = 'r="4"', 'stroke="#fff"'
  test.equal(count(lota.plot.lines(rates), circle), 0)
  test.equal(count(lota.plot.lines(rates, { markers = true }), circle), 4, "three points and the legend")
  local two = { rates[1], { name = "full", x = { 1e-5, 1e-3 }, y = { 0.1, 0.2 }, markers = true } }
  test.equal(count(lota.plot.lines(two), square), 3, "two points and the legend")
  two[2].markers = false
  test.equal(count(lota.plot.lines(two, { markers = true }), square), 4, "the first alone")
end)

test.case("a logarithmic axis is labelled with powers of ten", function()
  local svg = lota.plot.lines(rates, { log_x = true, x = "lr" })
  for _, label in ipairs { ">1e-5<", ">1e-4<", ">1e-3<", ">lr<" } do
    test.equal(count(svg, label), 1, label)
  end
  local losses = { loss = { 100, 10, 1, 0.01 } }
  test.equal(lota.plot.lines(losses, { log_y = true }), lota.plot.lines(losses, { log = true }))
  test.equal(count(lota.plot.lines(losses, { log_y = true }), ">0.01<"), 1)
end)

test.case("what has no place on a logarithmic axis is told by its series and point", function()
  local function refused(series, o, text)
    test.raises(function()
      lota.plot.lines(series, o)
    end, text)
  end
  refused({ loss = { 1, 2, 0 } }, { log_y = true }, "point 3 of 'loss', whose y is 0")
  refused({ loss = { 1, -2 } }, { log = true }, "point 2 of 'loss', whose y is -2")
  local zero = { { name = "a", y = { 1, 2 } }, { name = "b", x = { 0, 1 }, y = { 1, 1 } } }
  refused(zero, { log_x = true }, "point 1 of 'b', whose x is 0")
  refused({ loss = { 1 } }, { columns = 5 }, "must be 20 to 1000")
  -- A gap is meant.
  lota.plot.lines({ loss = { 1, 0 / 0, 2 } }, { log_y = true })
end)

test.case("numbers that a chart has no place for are told, and the largest that it has are drawn", function()
  local function refused(draw, ...)
    local given = table.pack(...)
    test.raises(function()
      draw(table.unpack(given, 1, given.n - 1))
    end, given[given.n])
  end
  local lines, heatmap = lota.plot.lines, lota.plot.heatmap
  refused(lines, { loss = { 1, 1e308 } }, {}, "holds 1e308 as y of 'loss': a chart has places from -1e300 to 1e300")
  refused(lines, { { name = "a", x = { -1e308, 1 }, y = { 1, 2 } } }, {}, "holds -1e308 as x of 'a'")
  refused(lines, { { name = "a", y = { 1, 2 }, spread = { 0, 1e301 } } }, {}, "holds 1e301 as spread of 'a'")
  refused(lines, { loss = { 1 } }, { marks = { { x = 1e308, name = "m" } } }, "holds 1e308 as x of 'm'")
  refused(lines, { loss = { 1, 1e-310 } }, { log = true }, "values must be above 0, and at least 1e-300")
  refused(heatmap, { { 1, -1e308 } }, {}, "holds -1e308: a chart has places")
  refused(heatmap, { { 1, 2 } }, { high = 1e308 }, "'high' is 1e308")
  refused(heatmap, { { 1, 2 } }, { low = 2, high = 1 }, "must be below high, got 2 and 1")
  for _, values in ipairs { { 1e300, -1e300 }, { 0, 5e-324 }, { 1e-310, 2e-310 } } do
    for _, svg in ipairs {
      lines { loss = values },
      lines({ { name = "a", x = values, y = values, spread = values } }, { columns = 40 }),
      heatmap { values },
    } do
      test.equal(count(svg, "NaN") + count(svg, "inf"), 0, svg)
    end
  end
  test.equal(count(lines({ loss = { 1e300, 1e-300 } }, { log = true }), "NaN"), 0)
end)

test.case("the same chart in characters", function()
  local text = lota.plot.lines(rates, { log_x = true, markers = true, columns = 40 })
  test.equal(count(text, "o"), 3, text)
  test.equal(count(text, "1e-5"), 1, text)
  test.equal(count(text, "<svg"), 0)
end)
