-- no twin: the module is Lua's alone
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
test.case("a picture of small masks has a row for every layer, and empty cells", function()
  local model = lota.model.init("tiny", { seed = 1 })
  local name = "model.layers.1.mlp.up_proj.weight"
  local one = lota.mask.rows(model, { params = name, rows = { 1 } })
  local svg = report.overlap_by_parameter(run:path "small.svg", model, one, lota.mask.none(model))
  for _, text in ipairs { "layer 0", "layer 1", "mlp.up_proj", "layer 0, mlp.up_proj: none" } do
    test.equal(svg:find(text, 1, true) ~= nil, true, text)
  end
  test.equal(svg:find("down_proj", 1, true), nil)
  -- Nothing to compare in any layer.
  local outside = lota.mask.all(model, { params = "model.norm.weight" })
  svg = report.overlap_by_parameter(run:path "none.svg", model, outside, outside)
  test.equal(svg:find("layer 1", 1, true) ~= nil, true)
end)
