--- DPO, direct preference optimization (arXiv 2305.18290, equation 7): learns which of two answers is better.
--
--   loss = - mean over pairs of log σ(beta · ((log p(chosen) - log r(chosen)) - (log p(rejected) - log r(rejected))))
--
-- p is the model, r the same model at the start; the log-probability of an answer is the sum over its tokens. A task's
-- `train` is a list of { prompt =, chosen =, rejected = }; `batch` counts pairs, and their order is drawn once by the
-- seed. With `mask` only its entries are trained, and a ticket is made of them.
--
-- Changes `model` in place. Returns { losses = { adapt } }, and mask and ticket with `mask`.

local lota = require "lota"
local options = require "lota.options"
local phase = require "lota.adapt.phase"

local defaults = options.with(phase.defaults, {
  beta = { 0.1, "how hard the model is held to where it started", above = 0 },
  mask = { nil, "train these entries alone", type = "Mask" },
  params = { "all", "the parameters that may change, without a mask: a name, a glob, a list, a function" },
})

--- The task as rows of one answer each: chosen, rejected, chosen, …
local function answers(task, seed)
  local rows, order = {}, {}
  for i, row in ipairs(type(task) == "table" and type(task.train) == "table" and task.train or {}) do
    for _, field in ipairs { "prompt", "chosen", "rejected" } do
      if type(row) ~= "table" or type(row[field]) ~= "string" then
        error(
          ("adapt.dpo: row %d of the task must be { prompt =, chosen =, rejected = }, it has no `%s`"):format(i, field),
          3
        )
      end
    end
    order[i] = row
  end
  for _, row in ipairs(lota.rng(seed):shuffle(order)) do
    rows[#rows + 1] = { prompt = row.prompt, target = row.chosen }
    rows[#rows + 1] = { prompt = row.prompt, target = row.rejected }
  end
  return { name = type(task) == "table" and task.name or nil, train = rows }
end

--- The log-probability of every answer, by its place, in the model as it is.
local function reference(model, task, o)
  local out = {}
  for _, batch in ipairs(phase.batches(model, task, o):epoch()) do
    local sums = batch:by_sequence(model:logp(batch)):totable()
    for i, place in ipairs(batch:examples()) do
      out[place] = sums[i]
    end
  end
  return out
end

return function(model, task, given)
  local o = options.read("adapt.dpo", defaults, given)
  phase.check_own_loss("adapt.dpo", o)
  local pairs_of = answers(task, o.seed)
  phase.check("adapt.dpo", model, { pairs_of }, o)
  if o.dry_run then
    return o
  end
  local settings = options.with(o, { batch = 2 * o.batch, order = "sequential" })
  local start = reference(model, pairs_of, settings)
  settings.loss = function(logp, batch)
    local before = {}
    for i, place in ipairs(batch:examples()) do
      before[i] = start[place]
    end
    local gained = (batch:by_sequence(logp) - lota.tensor(before)):reshape { #before // 2, 2 }
    return (gained:select(2, { 1 }) - gained:select(2, { 2 })):mul(o.beta):logsigmoid():mean():neg()
  end
  if o.mask then
    return phase.sparse("dpo", model, pairs_of, o.mask, settings)
  end
  return { losses = { adapt = (phase.train("adapt", model, pairs_of, o.params, settings)) } }
end
