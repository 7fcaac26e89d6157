-- What lota.report writes for the same records; its twin in Rhai must return the same text.
local lota = require "lota"
local report = require "lota.report"

local out = {}
local mean, sd = report.mean_sd { 0.1, 0.7, 0.35 }
out.figures = { mean, sd, (report.mean_sd { 3 }) }
out.spreads = {
  report.spread { 0.5 },
  report.spread({ 1, 3 }, "%.1f"),
  report.spread {},
  report.spread({ 0.1, 0.7, 0.35 }, "%8.4g"),
}
local records = {
  { kind = "step", step = 1, seed = 1, arm = "a", score = 0.5, loss = 3.5 },
  { kind = "step", step = 2, seed = 2, arm = "a", score = 0.7, loss = 2.5 },
  { kind = "step", step = 2, seed = 2, arm = "b", loss = 1.0 },
}
out.where = report.where(records, { arm = "a", seed = 2 })
out.column = report.column(records, "score")
local groups = { { "A", report.where(records, { arm = "a" }) }, { "B", report.where(records, { arm = "b" }) } }
out.table = report.table("arm", groups, { { "score", "score", format = "%.1f" }, { "loss", "loss" } })
out.rows = report.rows(
  records,
  { { "seed", "seed" }, { "arm", "arm" }, { "score", "score", format = "%.2f" }, { "loss", "loss" } }
)
out.durations = {}
for i, seconds in ipairs { 0.2, 59.4, 59.6, 3600, 7260, 75 } do
  out.durations[i] = report.duration(seconds)
end
out.losses = report.losses(records)
out.smooth = report.smooth({ 1, 3, 5, 7.5, 0.1 }, 3)
out.fill = report.fill("{arm}: {n} of {unknown} {x} {} {a b} {{n}} {", { arm = "a", n = 3, x = 0.5 })

local model = lota.model.init("tiny", { seed = 1 })
local about = report.about(model, model:fingerprint(), { { "time", report.duration(75) } })
-- The command names the script, which is another in each language.
out.about = about:gsub("^[^\n]*\n", "")

local run = report.start("x", os.tmpname() .. ".run", { config = { a = 1 } })
report.write(run, {
  title = "Two arms",
  summary = "What came of it.  \n",
  table = out.table,
  pictures = { { "loss.svg", "Loss", "Of seed 1." } },
  rows = out.rows,
  about = out.about,
})
local file <close> = assert(io.open(run:path "report.md"))
out.page = file:read "a"

local path = run:path "picture.svg"
local series = {
  { name = "LoTA", group = "lota", kind = "A", phases = { { 3, 2 }, {}, { 3, 2, 0.1 } } },
  { name = "full", group = "full", kind = "A", values = { 4, 3, 2.5 } },
}
local a = lota.mask.random(model, { density = 0.01, seed = 1, params = "adaptable" })
local b = lota.mask.random(model, { count = 3, seed = 2, params = "adaptable" })
out.pictures = {
  report.curves(path, series, { title = "Losses", smooth = 2, marks = { { x = 2.5, name = "rewind" } } }),
  report.curves(path, { { name = "x", values = { 3, 2 } } }),
  report.overlap(path, { { "a", a }, { "b", b }, { "both", a | b } }),
  report.overlap_by_parameter(path, model, a, b, { title = "Here" }),
}
return lota.json.encode(out)
