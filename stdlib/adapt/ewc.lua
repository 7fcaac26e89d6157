--- EWC, elastic weight consolidation (arXiv 1612.00796): what mattered to earlier tasks moves less.
--
--   loss = cross-entropy + strength / 2 · Σ F (w - w0)²
--   F    = mean over the sequences of the earlier tasks of (d/dw Σ log p(label))²
--
-- w0 are the weights at the start. F is the empirical Fisher information: its labels are those of the data, not drawn
-- from the model. What differs: after several tasks there is one anchor, the latest weights, and the sum of all F (as in
-- online EWC, arXiv 1805.06370, without its decay): give what this returns as `fisher`, with the last task alone as
-- `earlier`.
--
-- Changes `model` in place. Returns { fisher, anchor, losses = { adapt } }; the losses are without the penalty.

local lota = require "lota"
local options = require "lota.options"
local phase = require "lota.adapt.phase"

local defaults = options.with(phase.defaults, {
  earlier = { nil, "the list of tasks to remember; needed unless `fisher` is given", type = "table" },
  fisher = { nil, "Fisher information of still earlier tasks, which is added", type = "Values" },
  fisher_rows = { 64, "sequences that the information is taken from", least = 1 },
  strength = { 40.0, "the weight of the penalty; a good one depends on task and rate, so try powers of ten", least = 0 },
  params = { "all", "the parameters that may change: a name, a glob, a list, a function(parameter) → boolean" },
})

--- The information in the first rows of a task, sequence by sequence.
local function information(model, task, o)
  local one_each = phase.batches(model, task, options.with(o, { batch = 1 }))
  local rows = math.min(o.fisher_rows, one_each:len())
  return lota.train.grad_scores(model, one_each, {
    params = o.params,
    limit = rows,
    checkpoint = o.checkpoint,
    loss = function(logp)
      return logp:sum()
    end,
    kind = function(_, g, sum)
      return sum and sum:add(g:square()) or g:square()
    end,
  }) / rows
end

return function(model, task, given)
  local o = options.read("adapt.ewc", defaults, given)
  local earlier = (o.earlier or not o.fisher) and phase.joined("adapt.ewc", "earlier", o.earlier)
  phase.check("adapt.ewc", model, { task, earlier or nil }, o)
  if o.dry_run then
    return o
  end
  local fisher = earlier and information(model, earlier, o)
  if o.fisher then
    fisher = fisher and fisher + o.fisher or o.fisher
  end
  local anchor = lota.values.weights(model, { mask = fisher:mask() })
  local penalty = { anchor = anchor, weight = fisher * o.strength }
  local losses = phase.train("adapt", model, task, o.params, options.with(o, { penalty = penalty }))
  return { fisher = fisher, anchor = anchor, losses = { adapt = losses } }
end
