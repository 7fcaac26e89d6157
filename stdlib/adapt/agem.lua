--- A-GEM, averaged gradient episodic memory (arXiv 1812.00420, equation 11): a step may not raise the loss on earlier
-- tasks, to first order.
--
--   g = gradient of the new task, r = gradient of a batch of the earlier ones
--   if <g, r> < 0:  g ← g - <g, r> / <r, r> · r
--
-- What differs: the memory is all rows of the earlier tasks, in batches as large as those of the new one; the paper
-- keeps some rows of each. The projected gradient goes through the optimizer, which may turn it again: with sgd it
-- doesn't.
--
-- Changes `model` in place. Returns { conflicts = steps that were projected, losses = { adapt } }.

local options = require "lota.options"
local phase = require "lota.adapt.phase"
local project = require "lota.adapt.project"

local defaults = options.with(phase.defaults, {
  earlier = { nil, "the list of tasks to remember; needed", type = "table" },
  params = { "all", "the parameters that may change: a name, a glob, a list, a function(parameter) → boolean" },
})

return function(model, task, given)
  local o = options.read("adapt.agem", defaults, given)
  local earlier = phase.joined("adapt.agem", "earlier", o.earlier)
  phase.check_unsaved("adapt.agem", o)
  phase.check("adapt.agem", model, { task, earlier }, o)
  if o.dry_run then
    return o
  end
  local memory, conflicts = phase.batches(model, earlier, o), 0
  local losses = phase.loop("adapt", model, task, o.params, o, function(trainer, batches)
    local g = trainer:gradients(batches)
    local turned, conflict = project.away(g, trainer:gradients(memory:next()))
    conflicts = conflicts + (conflict and 1 or 0)
    return trainer:update(turned)
  end)
  return { conflicts = conflicts, losses = { adapt = losses } }
end
