-- no twin: the module is Lua's alone
-- lota.sweep: every setting once, also after a stop; the table and the plot.
local lota = require "lota"
local sweep = require "lota.sweep"
local test = require "lota.test"

local grid = { lr = { 0.001, 0.1 }, name = { "a", "b", "c" } }
local folder = os.tmpname()
os.remove(folder)

test.case("a grid is every combination, a list stays as it is", function()
  local settings = sweep.settings(grid)
  test.equal(#settings, 6)
  test.equal({ settings[1], settings[2], settings[4] }, {
    { lr = 0.001, name = "a" },
    { lr = 0.001, name = "b" },
    { lr = 0.1, name = "a" },
  })
  test.equal(sweep.settings { { lr = 1 }, { lr = 2 } }, { { lr = 1 }, { lr = 2 } })
  test.raises(function()
    sweep.settings { lr = {} }
  end, "`lr` must be a list of values")
end)

local calls, stop_at = {}, 5
local function work(setting, seed)
  if #calls + 1 == stop_at then
    error "stopped on purpose"
  end
  calls[#calls + 1] = ("%s %s %d"):format(setting.lr, setting.name, seed)
  return { score = setting.lr * seed }
end

test.case("each setting and seed is run once, also where a sweep was stopped", function()
  test.raises(function()
    sweep.run(lota.run.start(folder), grid, work, { seeds = 2 })
  end, "stopped on purpose")
  stop_at = nil
  local results = sweep.run(lota.run.start(folder, { resume = true }), grid, work, { seeds = 2 })
  test.equal({ #results, #calls }, { 12, 12 })
  local seen = {}
  for _, call in ipairs(calls) do
    test.equal(seen[call], nil)
    seen[call] = true
  end
  for _, one in ipairs(results) do
    test.equal(one.result.score, one.setting.lr * one.seed)
  end
end)

local run = lota.run.start(folder, { resume = true })

test.case("a sweep that is done does nothing more, and tells means over seeds", function()
  stop_at = #calls + 1
  local results = sweep.run(run, grid, work, { seeds = 2 })
  local text = sweep.table(results, { "lr", "name" }, { { "score", "score", format = "%.2f" } })
  test.equal(text:find("0.15 ± 0.07", 1, true) ~= nil, true, text)
  local svg = sweep.plot(run:path "lr.svg", results, { x = "lr", y = "score", group = "name", log_x = true })
  for _, part in ipairs { "name a", ">lr<", ">0.001<", ">0.1<", 'r="4"' } do
    test.equal(svg:find(part, 1, true) ~= nil, true, part)
  end
  test.raises(function()
    sweep.plot(run:path "x.svg", results, { x = "name", y = "score", group = "lr" })
  end, "must be a number")
  for text, made in pairs {
    ["sweep.plot: the setting `name` differs"] = function()
      sweep.plot(run:path "x.svg", results, { x = "lr", y = "score" })
    end,
    ["sweep.table: the setting `lr` differs"] = function()
      sweep.table(results, { "name" }, { { "score", "score" } })
    end,
    ["no setting is called `nam`; did you mean `name`"] = function()
      sweep.table(results, { "lr", "name", "nam" }, { { "score", "score" } })
    end,
    ["no result has a `scor`; did you mean `score`"] = function()
      sweep.table(results, { "lr", "name" }, { { "score", "scor" } })
    end,
    ["sweep.plot: there are no results"] = function()
      sweep.plot(run:path "x.svg", {}, { x = "lr", y = "score" })
    end,
  } do
    test.raises(made, text)
  end
  local shifted = { { setting = { lr = 0 }, seed = 1, result = { score = 1 } } }
  test.raises(function()
    sweep.plot(run:path "x.svg", shifted, { x = "lr", y = "score", log_x = true })
  end, "`lr` must be a number above 0, got 0")
  shifted[1] = { setting = { lr = 1 }, seed = 1, result = { score = -1 } }
  test.raises(function()
    sweep.plot(run:path "x.svg", shifted, { x = "lr", y = "score", log_y = true })
  end, "point 1 of 'score', whose y is -1")
end)

test.case("results that are no numbers are kept, and settings are not the function's to change", function()
  local place = os.tmpname()
  os.remove(place)
  local function diverging(setting, seed)
    setting.lr = 7
    return { loss = seed == 2 and 0 / 0 or seed == 3 and -math.huge or 1 }
  end
  local function once()
    return sweep.run(lota.run.start(place, { resume = true }), { lr = { 1 } }, diverging, { seeds = 3 })
  end
  local first, again = once(), nil
  collectgarbage()
  again = once()
  for _, results in ipairs { first, again } do
    test.equal(results[1].setting.lr, 1)
    test.equal(results[2].result.loss ~= results[2].result.loss, true, "not a number")
    test.equal(results[3].result.loss, -math.huge)
  end
  test.equal(sweep.table(again, { "lr" }, { { "loss", "loss" } }), sweep.table(first, { "lr" }, { { "loss", "loss" } }))
  test.raises(function()
    sweep.run(run, { lr = { 5 } }, function()
      return { score = "high" }
    end)
  end, "`score` is a string")
end)

test.case("the same setting twice is an error before anything is run", function()
  test.raises(function()
    sweep.run(run, { { lr = 3 }, { lr = 3 } }, work)
  end, "occurs twice")
end)
