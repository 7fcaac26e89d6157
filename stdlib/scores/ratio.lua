--- Scores that set the gradient against the size of the weight: large where a task pulls hard at a weight that is small.
-- The gradient is that of `scores.gradient`: of the mean loss over the batches.

local options = require "lota.options"
local plain = require "lota.scores.gradient"

local ratio = {}

--- |g| / (|w| + eps): the change in proportion to the weight, as GEM ranks entries (arXiv 2508.16191). What differs: how
-- many entries a layer gets is a matter of the mask (`density` may be a function); GEM takes it from the entropy of the
-- layer.
function ratio.gem(model, batches, given)
  local defaults = options.with(plain.defaults, {
    eps = { 1e-8, "added to |w|, so that entries that are zero can be ranked", above = 0 },
  })
  local o = options.read("scores.gem", defaults, given)
  return plain.gradient(model, batches, options.without(o, { "eps" })):map(function(name, g)
    return g:abs():div(model:param(name):to("f32"):abs():add(o.eps))
  end)
end

--- |g| of the entries of small magnitude, and 0 of all others: what GaLLoP fine-tunes, large gradients at small weights
-- (arXiv 2510.19778). The two wishes are two steps here: first the `small` fraction of each parameter with the least
-- |w|, then the rank by |g| among them; a mask cannot be denser than `small`.
function ratio.gallop(model, batches, given)
  local defaults = options.with(plain.defaults, {
    small = { 0.5, "the fraction of the entries of each parameter that counts as small", above = 0, most = 1 },
  })
  local o = options.read("scores.gallop", defaults, given)
  return plain.gradient(model, batches, options.without(o, { "small" })):map(function(name, g)
    local size = model:param(name):to("f32"):abs()
    return g:abs():mul(size:le(size:flatten():quantile(o.small):item()):to "f32")
  end)
end

return ratio
