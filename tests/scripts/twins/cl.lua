-- What lota.cl measures for the same tasks and seeds; its twin in Rhai must return the same text.
local cl = require "lota.cl"
local lota = require "lota"
local options = require "lota.options"
local report = require "lota.report"
local tasks = require "lota.tasks"

local out = {}
local R = { { 0.9, 0.2, 0.1 }, { 0.5, 0.8, 0.3 }, { 0.6, 0.4, 0.7 } }
local probes = { { after = 1, task = 1, score = 0.3 }, { after = 2, task = 2, score = 0.6 } }
out.figures = { cl.metrics.all(R, { 0.1, 0.1, 0.2 }, probes), cl.metrics.all({ { 1 } }, { 0 }, {}) }

local model = lota.model.init("tiny", { seed = 1 })
local base = model:snapshot()
local learnt = {}
for i, name in ipairs { "skip", "nines", "sort" } do
  learnt[i] = tasks.open(name, { train = 24, test = 4 })
  -- A score that moves with every weight, so that equal scores mean equal models.
  learnt[i].score = function(trained)
    return (tonumber(trained:fingerprint():sub(-6), 16) + i) / 2 ^ 25
  end
end
local quick = { density = 0.05, steps = 2, calibration_steps = 1, lr = 1e-3, batch = 2, max_len = 64, max_prompt = 32 }
out.methods = {}
for _, method in ipairs { "ewc", "full", "lora", "lota", "lotto", "random", "replay" } do
  model:restore(base)
  local own = { ewc = { strength = 10, fisher_rows = 4 }, lora = { alpha = 32 } }
  local result = cl.sequence(model, learnt, options.with(quick, { method = method, probe_every = 2, own = own }))
  out.methods[method] = { result.R, result.untrained, result.probes, result.capacity or false, model:fingerprint() }
end

model:restore(base)
local run = lota.run.start(os.tmpname() .. ".run")
local o = options.with(quick, { methods = { "lotto" }, orders = 2, seeds = 1, probe_every = 1 })
local results = cl.study(run, model, learnt, o)
out.study = results
out.records = report.where(run:records(), { kind = "score" })
out.table = cl.table(results)
out.picture = cl.heatmap(run:path "r.svg", { results[1] })
return lota.json.encode(out)
