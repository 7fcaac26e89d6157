--- Fisher-weighted averaging (arXiv 2111.09832, equation 3): each entry is the mean of the models' entries, weighted by how
-- much each model's own data depend on it.
--
--   w = Σ λ_i F_i w_i / Σ λ_i F_i
--
-- F_i is the diagonal of the Fisher information of model i: a Stats with `fisher`, or Values. A parameter without
-- information in one of them is averaged plainly. What differs: information below `floor` times the mean of all models'
-- in that parameter counts as this much, so that where all of it is 0 the result is the plain mean; the published code has an
-- absolute floor of 1e-6. The weights F_i are not normalised for each model: divide Values by their norm for that.
--
-- Returns a Model.

local given = require "lota.merge.given"
local lota = require "lota"
local options = require "lota.options"

local defaults = {
  weights = { nil, "a list with λ of each model; 1 for each if not given", type = "table" },
  floor = { 1e-6, "the least information, as a fraction of the parameter's mean", above = 0 },
  any_weights = { false, "take statistics that were gathered on other weights of these models" },
}

--- The information of all models in one parameter, weighted; nil if one of them has none.
local function information(fishers, name, o)
  local found, mean = {}, 0
  for i, fisher in ipairs(fishers) do
    local f = fisher:of(name)
    if not f then
      return nil
    end
    found[i], mean = f, mean + f:mean():item() / #fishers
  end
  for i, f in ipairs(found) do
    -- Where there is none at all, all count the same.
    local floored = mean > 0 and f:maximum(o.floor * mean) or f * 0 + 1
    found[i] = floored * (o.weights and o.weights[i] or 1)
  end
  return found
end

return function(models, stats, settings)
  local o = options.read("merge.fisher", defaults, settings)
  given.check("merge.fisher", models, stats, "fisher", o, "Values")
  local fishers = {}
  for i, one in ipairs(stats) do
    fishers[i] = (tostring(one):find "^Stats" and one:fisher() or one):dense()
  end
  return lota.merge.models(models, {
    method = function(tensors, info)
      local f = information(fishers, info.name, o)
      local first, moved, total = tensors[1], tensors[1] * 0, 0
      for i, tensor in ipairs(tensors) do
        local weight = f and f[i] or o.weights and o.weights[i] or 1
        -- From the first model on, so that equal models give the same bits.
        moved, total = moved + (tensor - first) * weight, weight + total
      end
      return first + moved / total
    end,
  })
end
