--- RegMean (arXiv 2212.09849, equation 2): of each linear layer, the weight whose outputs are nearest to those of every model
-- on that model's own inputs.
--
--   W = argmin Σ ‖X_i W_iᵀ - X_i Wᵀ‖²,   Wᵀ = (Σ G_i)⁻¹ Σ G_i W_iᵀ,   G_i = X_iᵀ X_i
--
-- G_i are Gram matrices: a Stats with `gram` for each model. As published, entries off their diagonals are multiplied
-- with `alpha`; 0 leaves weights for each input feature alone. Parameters that are no linear layer, or have no Gram matrix
-- in one of the statistics, are averaged.
--
-- What differs: the equations are solved in f64 for the distance from the mean of the models, with `ridge` times the mean of
-- the diagonal added to it. An input that no model's data ever had then keeps the mean, where the published form divides by
-- nothing, and equal models give themselves back.
--
-- Returns a Model.

local given = require "lota.merge.given"
local lota = require "lota"
local options = require "lota.options"

local defaults = {
  alpha = { 0.9, "what entries of a Gram matrix off its diagonal are multiplied with", least = 0, most = 1 },
  ridge = { 1e-6, "what is added to the diagonal, as a fraction of its mean", least = 0 },
  per_token = { false, "divide each Gram matrix by its number of tokens, so that models count the same" },
  any_weights = { false, "take statistics that were gathered on other weights of these models" },
}

--- The Gram matrices of a layer, f64, as the options say.
local function grams(stats, name, o)
  local found = {}
  for i, one in ipairs(stats) do
    local gram = one:get("gram", name):to "f64"
    local eye = lota.eye(gram:shape()[1]):to "f64"
    local scaled = gram * o.alpha + gram * eye * (1 - o.alpha)
    found[i] = o.per_token and scaled / one:tokens() or scaled
  end
  return found
end

--- The weight nearest to all models', from their mean.
local function nearest(tensors, mean, gram, o)
  local sum, right = gram[1] * 0, (mean * 0):to "f64"
  for i, tensor in ipairs(tensors) do
    sum = sum + gram[i]
    right = right + (tensor - mean):to("f64"):matmul(gram[i])
  end
  local eye = lota.eye(sum:shape()[1]):to "f64"
  local diagonal = (sum * eye):sum():item() / sum:shape()[1]
  if diagonal == 0 then
    return mean
  end
  -- The matrices are symmetric, so columns of the transposed weight are solved for.
  return mean + (sum + eye * (o.ridge * diagonal)):solve(right:t()):t():to "f32"
end

return function(models, stats, settings)
  local o = options.read("merge.regmean", defaults, settings)
  given.check("merge.regmean", models, stats, "gram", o)
  local count = {}
  for _, one in ipairs(stats) do
    for _, name in ipairs(one:names "gram") do
      count[name] = (count[name] or 0) + 1
    end
  end
  return lota.merge.models(models, {
    method = function(tensors, info)
      local moved = tensors[1] * 0
      for _, tensor in ipairs(tensors) do
        moved = moved + (tensor - tensors[1])
      end
      local mean = tensors[1] + moved / #tensors
      return count[info.name] == #stats and nearest(tensors, mean, grams(stats, info.name, o), o) or mean
    end,
  })
end
