-- no twin: run folders, charts and JSON are tested once; only values cross the border, which other twins cover
-- Run folders, charts, tables, JSON and script options.
local lota = require "lota"
local test = require "lota.test"

local function folder()
  return os.tmpname() .. ".run"
end

test.case("a run keeps its config and its records, and is continued only on request", function()
  local dir = folder()
  local run = lota.run.start(dir, { config = { lr = 0.1 } })
  run:log { step = 1, loss = 0 / 0 }
  run:log { step = 2, loss = 1.5, tags = { "a" } }
  run:log { step = 3, loss = 1 / 0, more = { -1 / 0 } }
  local records = run:records()
  assert(records[1].loss ~= records[1].loss, "NaN stays NaN")
  test.equal(records[2], { step = 2, loss = 1.5, tags = { "a" } })
  test.equal(records[3], { step = 3, loss = 1 / 0, more = { -1 / 0 } })
  test.raises(function()
    lota.run.start(dir)
  end, "holds a run already")
  test.raises(function()
    lota.run.start(dir, { config = { lr = 0.2 }, resume = true })
  end, "`lr` was 0.1 and is now 0.2")
  test.equal(#lota.run.start(dir, { config = { lr = 0.1 }, resume = true }):records(), 3)
end)

test.case("whether a run goes on is no part of what it is, and a config.json of others makes no run", function()
  local dir = folder()
  lota.run.start(dir, { config = { lr = 0.1, resume = false } })
  collectgarbage()
  lota.run.start(dir, { config = { lr = 0.1, resume = true }, resume = true })
  local model = folder()
  lota.model.init("tiny"):save(model)
  test.raises(function()
    lota.run.start(model, { resume = true })
  end, "holds a config.json that is not that of a run")
end)

test.case("files stay in the run folder", function()
  local run = lota.run.start(folder())
  test.equal(run:write("a/b.txt", "x"):sub(-7), "a/b.txt")
  for _, name in ipairs { "../x", "/tmp/x", "a/../../x", "" } do
    test.raises(function()
      run:path(name)
    end, "not a file of the run folder")
  end
  test.raises(function()
    run:log { f = print }
  end, "function at `f`")
  test.raises(function()
    run:log { 1, 2 }
  end, "must be a map")
end)

test.case("charts name their lines and refuse what does not fit", function()
  local svg = lota.plot.lines(
    { { name = "a <b>", y = { 1, 2, 0 / 0, 3 } }, { name = "c", x = { 1, 5 }, y = { 2, 2 } } },
    {
      title = "T & t",
      log = true,
    }
  )
  test.equal(svg:find("a &lt;b&gt;", 1, true) ~= nil, true)
  test.equal(svg:find("T &amp; t", 1, true) ~= nil, true)
  test.raises(function()
    lota.plot.lines { { name = "a", x = { 1 }, y = { 1, 2 } } }
  end, "1 of x for 2 of y")
  test.raises(function()
    lota.plot.lines { { name = "a", y = { "x" } } }
  end, "[1].y[1]")
  test.raises(function()
    lota.plot.heatmap({ { 1 } }, { rows = { "a", "b" } })
  end, "names 2 rows")
  local path = lota.run.start(folder()):path "map.svg"
  lota.plot.heatmap({ { 1, 0.5 }, { 0.5, 1 } }, { labels = { "a", "b" }, path = path })
end)

test.case("JSON goes there and back", function()
  local value = { a = { 1, 2.5, "x" }, b = { c = true } }
  test.equal(lota.json.decode(lota.json.encode(value)), value)
  test.equal(lota.json.encode { b = 1, a = {} }, '{"a":[],"b":1}')
  test.raises(function()
    lota.json.decode "{"
  end, "not JSON")
  test.raises(function()
    lota.json.encode { a = { lota.zeros { 1 } } }
  end, "a Tensor at `a`, item 1")
end)

test.case("script options have the types of their defaults", function()
  local args = lota.args {
    tmp = { "none", "a folder" },
    lr = { 0.1, "learning rate" },
    size = { type = "integer", help = "how many" },
    sizes = { { 1, 2 }, "in order" },
  }
  test.equal({ args.lr, args.size, args.sizes }, { 0.1, nil, { 1, 2 } })
  test.raises(function()
    lota.args { lr = {} }
  end, "`lr`")
  test.raises(function()
    lota.args { tmp = { "x" }, lr = { default = 1, hlep = "x" } }
  end, "unknown field 'hlep'")
end)

test.case("a progress bar can be moved and ended", function()
  local bar = lota.progress("spec", 3)
  bar:update(2, "loss 1.2")
  bar:done()
end)

test.case("what stands beside an object without a fingerprint still counts", function()
  local run = lota.run.start(os.tmpname() .. "-asked")
  run:asked { task = { rows = { 1, 2 }, draw = lota.rng(1) } }
  run:asked({ task = { rows = { 1, 2 }, draw = lota.rng(2) } }, { resume = true })
  test.raises(function()
    run:asked({ task = { rows = { 1, 3 }, draw = lota.rng(1) } }, { resume = true })
  end, "was asked for another `task`")
  test.raises(function()
    lota.fingerprint { lota.rng(1) }
  end, "a Rng stands in the value")
end)

test.case("an empty path is no folder", function()
  test.raises(function()
    lota.run.start ""
  end, "argument 'dir' is empty")
end)
