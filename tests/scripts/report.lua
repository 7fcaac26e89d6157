-- lota.report: figures, smoothing, run folders, pictures.
local lota = require "lota"
local report = require "lota.report"
local test = require "lota.test"

local folder = os.tmpname()
os.remove(folder)
local run = lota.run.start(folder, { config = { a = 1 } })

test.case("means and spreads", function()
  local mean, sd = report.mean_sd({ 1, 2, 3 })
  test.near(mean, 2, 1e-12)
  test.near(sd, 1, 1e-12)
  test.equal(report.spread({ 0.5 }), "0.500")
  test.equal(report.spread({ 1, 3 }, "%.1f"), "2.0 ± 1.4")
  test.equal(report.spread({}), "-")
end)

test.case("smoothing averages over what came before", function()
  test.equal(report.smooth({ 1, 3, 5, 7 }, 2), { 1, 2, 4, 6 })
  test.equal(report.smooth({ 4, 2 }, 1), { 4, 2 })
end)

test.case("a run folder that is taken is not written over", function()
  test.raises(function()
    report.start("x", folder, { config = { a = 1 } })
  end, "holds a run already")
end)

test.case("loss curves are an SVG file", function()
  local path = run:path "loss.svg"
  report.curves(path, { { name = "LoTA", values = { 3, 2, 1 } } }, { title = "Loss" })
  local file <close> = assert(io.open(path))
  local text = file:read "a"
  test.equal(text:find("<svg", 1, true) ~= nil and text:find("LoTA", 1, true) ~= nil, true)
end)

test.case("records become a table of means and spreads", function()
  local records = {
    { arm = "a", seed = 1, score = 0.5 },
    { arm = "a", seed = 2, score = 0.7 },
    { arm = "b", seed = 1 },
  }
  test.equal(#report.where(records, { arm = "a", seed = 2 }), 1)
  test.equal(report.column(records, "score"), { 0.5, 0.7 })
  local groups = { { "A", report.where(records, { arm = "a" }) }, { "B", report.where(records, { arm = "b" }) } }
  local text = report.table("arm", groups, { { "score", "score", format = "%.1f" } })
  test.equal(text:find("| A   | 0.6 ± 0.1 |", 1, true) ~= nil, true, text)
  test.equal(text:find("| B   |         - |", 1, true) ~= nil, true, text)
  test.equal(report.fill("{arm}: {n} of {unknown}", { arm = "a", n = 3 }), "a: 3 of {unknown}")
  test.equal(report.losses({ { step = 1, loss = 3 }, { step = 2, loss = 2 }, { step = 2, loss = 1 } }), { 3, 1 })
end)

local function read(path)
  local file <close> = assert(io.open(path))
  return file:read "a"
end

test.case("phases are drawn one after the other, with a break between them", function()
  local path = run:path "phases.svg"
  report.curves(
    path,
    { { name = "x", phases = { { 3, 2 }, { 3, 2, 1 } } } },
    { marks = { { x = 2.5, name = "rewind" } } }
  )
  local text = read(path)
  local _, lines = text:gsub("<polyline", "")
  test.equal(lines, 3, "a sample in the legend and two phases")
  test.equal(text:find(">5.0<", 1, true) ~= nil, true, "five steps in all")
  test.equal(text:find(">rewind<", 1, true) ~= nil, true)
end)

test.case("the loss is on a logarithmic axis where it spans decades, or as it is asked for", function()
  local function ticks(values, given)
    local path = run:path "log.svg"
    report.curves(path, { { name = "x", values = values } }, given)
    return read(path):find(">0.01<", 1, true) ~= nil
  end
  test.equal(ticks { 5, 1, 0.1, 0.008 }, true)
  test.equal(ticks({ 5, 1, 0.1, 0.008 }, { log = false }), false)
  test.equal(ticks { 5, 1, 0.1, 0.008, 0 }, false)
end)

test.case("a report shows its pictures, every seed, and how it was made", function()
  local records = { { arm = "a", seed = 1, score = 0.5 }, { arm = "b", seed = 1 } }
  local model = lota.model.init "tiny"
  local path = report.write(run, {
    title = "Two arms",
    table = report.table("arm", { { "a", records } }, { { "score", "score" } }),
    pictures = { { "loss.svg", "Loss", "Of seed 1." } },
    rows = report.rows(records, { { "seed", "seed" }, { "arm", "arm" }, { "score", "score", format = "%.2f" } }),
    about = report.about(model, model:fingerprint(), { { "time", report.duration(75) } }),
  })
  local text = read(path)
  for _, part in ipairs {
    "# Two arms\n\n| arm |",
    "![Loss](loss.svg)\n\nOf seed 1.",
    "|    1 | a   |  0.50 |",
    "|    1 | b   |     - |",
    "- lota: " .. lota.version,
    model:fingerprint(),
    "- time: 1 min 15 s",
    "- command: `lota run ",
  } do
    test.equal(text:find(part, 1, true) ~= nil, true, part .. " in " .. text)
  end
  test.equal(
    { report.duration(59.4), report.duration(3600), report.duration(7260) },
    { "59 s", "1 h 0 min", "2 h 1 min" }
  )
end)

test.case("masks of a few entries have a map of every layer", function()
  local model = lota.model.builtin()
  local one = lota.mask.from_scores(model:delta(lota.model.builtin():snapshot()), { count = 0 })
  local two = lota.mask.random(model, { density = 1e-5, params = "adaptable", seed = 3 })
  local path = run:path "few.svg"
  report.overlap_by_parameter(path, model, two, two)
  local text = read(path)
  for layer = 0, 3 do
    test.equal(text:find((">layer %d<"):format(layer), 1, true) ~= nil, true, "layer " .. layer)
  end
  test.equal(text:find(">none<", 1, true) ~= nil, true)
  report.overlap_by_parameter(path, model, one, one)
end)
