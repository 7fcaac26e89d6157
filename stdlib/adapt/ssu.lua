--- SSU, source-shielded updates (arXiv 2512.04844): the columns that matter most to what a model can do already stay as they
-- are, and all else is trained.
--
--   s_ij = |W_ij| · norm(x_j) on the source data, S_j = Σ_i s_ij
--   of each attention and MLP matrix the `protect` fraction of columns with the largest S_j is frozen
--
-- A column holds the weights of one input feature. As published, parameters that are no such matrix (embeddings, norms, the
-- head) are trained whole; `params` says which may change. What differs: source data are rows of tasks, prompts
-- and targets, in the place of documents.
--
-- Changes `model` in place. Returns { protected, mask, ticket, losses = { adapt } }; `protected` is the mask of what was
-- frozen.

local lota = require "lota"
local options = require "lota.options"
local phase = require "lota.adapt.phase"
local scores = require "lota.scores"

local defaults = options.with(phase.defaults, {
  source = { nil, "the list of tasks whose data say what to protect; needed", type = "table" },
  source_rows = { 500, "rows of them that are looked at, at most", least = 1 },
  protect = { 0.5, "fraction of the columns of each matrix that is frozen", above = 0, most = 1 },
  params = { "all", "the parameters that may change: a name, a glob, a list, a function(parameter) → boolean" },
  base = { nil, "fingerprint that the ticket names as its base", type = "string" },
})

return function(model, task, given)
  local o = options.read("adapt.ssu", defaults, given)
  local source = phase.joined("adapt.ssu", "source", o.source)
  source.train = table.move(source.train, 1, math.min(o.source_rows, #source.train), 1, {})
  phase.check("adapt.ssu", model, { task, source }, o)
  if o.dry_run then
    return o
  end
  local importance = scores.wanda(model, phase.batches(model, source, options.with(o, { order = "sequential" })))
  local protected = lota.mask.units(importance, { unit = "column", density = o.protect, scope = "parameter" })
  local mask = lota.mask.all(model, { params = o.params }) - protected
  local result = phase.sparse("ssu", model, task, mask, o)
  result.protected = protected
  return result
end
