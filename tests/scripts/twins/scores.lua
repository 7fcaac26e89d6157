-- What lota.scores gives for the same model and batches; its twin in Rhai must return the same text.
local lota = require "lota"
local scores = require "lota.scores"

local model = lota.model.init("tiny", { seed = 1 })
local rows = {}
for i = 1, 8 do
  rows[i] = { prompt = i .. "+1=", target = tostring(i + 1) }
end
local batches = lota.data.batches(lota.data.examples(model, rows), { size = 2 })
local before = lota.model.init("tiny", { seed = 2 }):snapshot()
local some = { limit = 2 }
local function figures(values)
  local picked = lota.mask.from_scores(values, { count = 100 })
  return { values:sum(), values:norm(), values:max(), picked:by "parameter", #values:names() }
end
return lota.json.encode {
  delta = figures(scores.delta(model, before)),
  gradient = figures(scores.gradient(model, batches, some)),
  fisher = figures(scores.fisher(model, batches, some)),
  weight = figures(scores.weight(model, { params = "all" })),
  weight_gradient = figures(scores.weight_gradient(model, batches, some)),
  movement = figures(scores.movement(model, batches, some)),
  gem = figures(scores.gem(model, batches, { limit = 2, eps = 1e-6 })),
  gallop = figures(scores.gallop(model, batches, { limit = 2, small = 0.25 })),
  lift = figures(scores.lift(model, { rank = 3 })),
  random = figures(scores.random(model, { seed = 4 })),
}
