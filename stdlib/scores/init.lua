--- Scores: one number for every entry of every parameter, saying how much the entry deserves to be in a mask.
--
--   local scores = require "lota.scores"
--   scores.delta(model, before)             w_now - w_before: LoTA's own (arXiv 2406.16797)
--   scores.gradient(model, batches)         |g| of the mean loss over the batches
--   scores.fisher(model, batches)           g², the diagonal of the empirical Fisher information (FISH masks, arXiv 2111.09839)
--   scores.weight(model)                    |w|, magnitude as in pruning
--   scores.weight_gradient(model, batches)  |w · g|, SNIP's saliency (arXiv 1810.02340)
--   scores.random(model, { seed = 1 })      uniform noise
--
-- All return a Scores value for `lota.mask.from_scores`. The largest magnitudes are
-- picked; a parameter without scores never is.
-- `params` (default "adaptable": attention and MLP matrices) says which parameters are scored.

return {
  delta = require "lota.scores.delta",
  gradient = require("lota.scores.gradient").gradient,
  fisher = require("lota.scores.gradient").fisher,
  weight = require "lota.scores.weight",
  weight_gradient = require("lota.scores.gradient").weight_gradient,
  random = require "lota.scores.random",
}
