--- Sequences of tasks: who learns, who forgets, and how that is measured.
--
--   local cl = require "lota.cl"
--   cl.sequence(model, { a, b, c }, { method = "lotto", steps = 100, lr = 1e-4 })   one method, one order, one seed
--   cl.metrics.forgetting(R)                                                        figures of the matrix R
--   cl.study(run, model, tasks, { methods = { "lotto" }, orders = 3, seeds = 3 })   methods x orders x seeds
--   cl.table(results), cl.heatmap(path, results)                                    what came out: lota doc cl.report
--
-- R[i][j] is the score on task j after training on task i.

local options = require "lota.options"

return options.strict("lota.cl", {
  heatmap = require("lota.cl.report").heatmap,
  methods = require "lota.cl.methods",
  metrics = require "lota.cl.metrics",
  sequence = require "lota.cl.sequence",
  study = require "lota.cl.study",
  table = require("lota.cl.report").table,
})
