--- Scores: one number for every entry of every parameter, saying how much the entry deserves to be in a mask.
--
--   local scores = require "lota.scores"
--   scores.delta(model, before)             w_now - w_before: LoTA's own (arXiv 2406.16797)
--   scores.gradient(model, batches)         |g| of the mean loss over the batches
--   scores.fisher(model, batches)           g², the diagonal of the empirical Fisher information (FISH masks, arXiv 2111.09839)
--   scores.weight(model)                    |w|, magnitude as in pruning
--   scores.weight_gradient(model, batches)  |w · g|, SNIP's saliency (arXiv 1810.02340)
--   scores.movement(model, batches)         -w · g: how the weight moves from zero (arXiv 2005.07683)
--   scores.gem(model, batches)              |g| / |w|: the change in proportion (GEM, arXiv 2508.16191)
--   scores.gallop(model, batches)           |g| where |w| is small (GaLLoP, arXiv 2510.19778)
--   scores.lift(model, { rank = 8 })        |w| of the approximation of low rank (LIFT, arXiv 2506.00772)
--   scores.wanda(model, batches)            |w| times the norm of its input (Wanda, arXiv 2306.11695)
--   scores.random(model, { seed = 1 })      uniform noise
--
-- All return a Values for `lota.mask.from_scores`. The largest magnitudes are
-- picked; a parameter without scores never is.
-- `params` (default "adaptable": attention and MLP matrices) says which parameters are scored.

local options = require "lota.options"

return options.strict("lota.scores", {
  delta = require "lota.scores.delta",
  gradient = require("lota.scores.gradient").gradient,
  fisher = require("lota.scores.gradient").fisher,
  weight = require "lota.scores.weight",
  weight_gradient = require("lota.scores.gradient").weight_gradient,
  movement = require("lota.scores.gradient").movement,
  gem = require("lota.scores.ratio").gem,
  gallop = require("lota.scores.ratio").gallop,
  lift = require "lota.scores.lift",
  wanda = require "lota.scores.wanda",
  random = require "lota.scores.random",
})
