--- A random mask: the same density as a ticket and the same training, but entries drawn by chance. The control that tells
-- how much of LoTA is the choice of entries and how much is sparsity alone (arXiv 2406.16797 compares with it too).
--
-- There is nothing to calibrate, so give it a ticket's calibration and adaptation steps together to be fair.
-- Changes `model` in place. Returns { mask, ticket, losses = { adapt } }.

local lota = require "lota"
local options = require "lota.options"
local phase = require "lota.adapt.phase"

local defaults = options.with(phase.defaults, {
  density = { 0.1, "fraction of the `params` entries in the mask", above = 0, most = 1 },
  params = { "adaptable", "the parameters that the mask is drawn from: attention and MLP matrices" },
  scope = { "global", "where the density holds", choices = { "global", "parameter", "layer", "row" } },
  avoid = { nil, "a mask not to draw from", type = "Mask" },
  base = { nil, "fingerprint that the ticket names as its base", type = "string" },
})

return function(model, task, given)
  local o = options.read("adapt.random", defaults, given)
  phase.check("adapt.random", model, { task }, o)
  phase.check_masks("adapt.random", model, 1, o)
  if o.dry_run then
    return o
  end
  local mask = lota.mask.random(model, {
    density = o.density,
    params = o.params,
    scope = o.scope,
    avoid = o.avoid,
    seed = o.seed,
  })
  return phase.sparse("random", model, task, mask, o)
end
