--- Merging by statistics of the models, beside the methods that `lota.merge` itself has.
--
--   local merge = require "lota.merge"
--   merge.fisher({ a, b }, { stats_a, stats_b })   means weighted by Fisher information (arXiv 2111.09832)
--   merge.regmean({ a, b }, { stats_a, stats_b })  the linear layers whose outputs are nearest to all models' (arXiv 2212.09849)
--
-- Both are functions of a script over `lota.merge.models`, and go over one parameter at a time. The statistics are
-- those of `lota.stats.collect`, one for each model, gathered on that model's own data. All functions of `lota.merge` are here
-- too: `merge.models` is `lota.merge.models`.

local lota = require "lota"

return setmetatable({
  fisher = require "lota.merge.fisher",
  regmean = require "lota.merge.regmean",
}, { __index = lota.merge })
