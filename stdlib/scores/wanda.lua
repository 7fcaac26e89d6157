--- |W_ij| · norm(x_j): the magnitude of each weight times the norm of the input that it is multiplied with, as Wanda ranks
-- weights (arXiv 2306.11695, equation 1). The norm is that of feature j over all tokens of the batches.
--
--   local s = scores.wanda(model, batches)
--   local kept = lota.mask.from_scores(s, { density = 0.5, scope = "row" })
--
-- The second line is the published choice: the largest half of each row, since outputs are compared with themselves. Wanda
-- prunes the others; here the mask says what may change, and `lota.mask.complement` is the rest. Only linear layers have
-- inputs, so other parameters have no scores. `data` may also be a Stats with input_norm, gathered before or loaded.

local lota = require "lota"
local options = require "lota.options"

local defaults = {
  params = { "adaptable", "the parameters that are scored" },
  limit = { nil, "batches to use; the whole epoch without it", type = "integer", least = 1 },
  any_weights = { false, "take statistics that were gathered on other weights of this model" },
}

return function(model, data, given)
  local o = options.read("scores.wanda", defaults, given)
  local stats = data
  if not tostring(data):find "^Stats" then
    stats = lota.stats.collect(model, data, { input_norm = true, modules = o.params, limit = o.limit })
  elseif not o.any_weights and stats:info().model ~= model:fingerprint() then
    error(
      "scores.wanda: the statistics are of other weights than the model has (any_weights takes them all the same)",
      2
    )
  end
  local seen, chosen = {}, lota.mask.all(model, { params = o.params }):by "parameter"
  for _, name in ipairs(stats:names "input_norm") do
    seen[name] = true
  end
  return lota.values.new(model, function(name, weight)
    return chosen[name] > 0 and seen[name] and weight:to("f32"):abs() * stats:get("input_norm", name) or nil
  end)
end
