--- SpIEL (arXiv 2401.16405), the variant that grows by accumulated gradients: a mask of constant size that moves while
-- it is trained.
--
--   every `every` steps:
--     drop: the entries of the mask that are nearest to their values at the start; they go back to them
--     grow: as many entries outside, where |g| over `growth_batches` batches is largest
--
-- How many change falls linearly from `churn` of the mask to none at the end. What stays keeps its value and what the
-- optimizer remembers of it; what grows starts from its own weight, with no memory. What differs: the gradients to grow
-- by are gathered at the change, not in the steps before it, so that only scores of `params` are held, and only then; an
-- entry that was just dropped may not grow again in the same change.
--
-- Changes `model` in place. Returns { mask, ticket, changed = entries exchanged in all, losses = { adapt } }.

local lota = require "lota"
local options = require "lota.options"
local phase = require "lota.adapt.phase"
local scores = require "lota.scores"

local defaults = options.with(phase.defaults, {
  density = { 0.1, "fraction of the `params` entries in the mask", above = 0, most = 1 },
  every = { 20, "steps between two changes of the mask", least = 1 },
  churn = { 0.2, "fraction of the mask that the first change exchanges", least = 0, most = 1 },
  growth_batches = { 4, "batches whose gradients say where to grow", least = 1 },
  params = { "adaptable", "the parameters that a mask may pick from: attention and MLP matrices" },
  on_change = { nil, "called as f(trainer, mask, dropped, grown) after each change", type = "function" },
})

return function(model, task, given)
  local o = options.read("adapt.spiel", defaults, given)
  phase.check_unsaved("adapt.spiel", o)
  phase.check("adapt.spiel", model, { task }, o)
  phase.check_masks("adapt.spiel", model, 1, o)
  if o.dry_run then
    return o
  end
  local before, base = model:snapshot(), model:fingerprint()
  local start = lota.values.weights(model, { params = o.params })
  local within = lota.mask.all(model, { params = o.params })
  local looked_at = phase.batches(model, task, o)
  local mask = lota.mask.random(model, { density = o.density, params = o.params, seed = o.seed })
  local size, changed = mask:count(), 0

  local function change(trainer, count)
    local moved = trainer:values() - start:within(mask)
    -- Ranked by nearness, since a score of 0 is never chosen, and what did not move goes first.
    local dropped = lota.mask.from_scores(1 / (moved:square() + 1e-30), { count = count })
    local list = {}
    for i = 1, o.growth_batches do
      list[i] = looked_at:next()
    end
    local gradient = scores.gradient(model, list, { params = o.params, checkpoint = o.checkpoint })
    local grown = lota.mask.from_scores(gradient, { count = count, within = within, avoid = mask })
    mask = (mask - dropped) | grown
    trainer:select { mask = mask }
    model:restore(before, { within = dropped })
    changed = changed + count
    if o.on_change then
      o.on_change(trainer, mask, dropped, grown)
    end
  end

  local losses, data = phase.loop("adapt", model, task, mask, o, function(trainer, batches, number)
    local info = trainer:step(batches)
    local count = math.min(math.floor(o.churn * (1 - number / o.steps) * size + 0.5), within:count() - size)
    if number % o.every == 0 and count > 0 then
      change(trainer, count)
    end
    return info
  end)
  local ticket = phase.ticket("spiel", model, task, mask, options.with(o, { base = base }), data, #losses)
  return { mask = mask, ticket = ticket, changed = changed, losses = { adapt = losses } }
end
