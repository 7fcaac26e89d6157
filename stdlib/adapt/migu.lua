--- MIGU (arXiv 2406.17245): each step changes only the rows of linear layers whose outputs are large on the batch of that
-- step. Tasks that differ light up different rows, so that one does less to what another has learned.
--
--   n = mean over tokens of |W x| for each row, divided by their sum (L1)
--   rows whose n lies below the `threshold` quantile of their layer have no gradient in this step
--
-- What differs: the magnitudes come from a forward pass of their own before each step, in the place of one that is shared with
-- the step; padding does not count, as there is none. Published, the first task of a sequence is trained without it: take
-- adapt.fft there. The gradients of rows are 0, and what the optimizer makes of that is its own: with the default, RMSprop
-- without momentum or decay, these rows stay as they are; momentum, Adam's averages and weight decay move them.
--
-- Changes `model` in place. Returns { losses = { adapt } }.

local lota = require "lota"
local options = require "lota.options"
local phase = require "lota.adapt.phase"

local defaults = options.with(phase.defaults, {
  threshold = { 0.7, "the quantile of a layer's magnitudes below which rows are left alone", least = 0, most = 1 },
  params = { "adaptable", "the parameters that may change; those that are no linear layer change whole" },
  on_rows = {
    nil,
    "called as f(rows, step) with a {rows, 1} tensor of ones and zeros for each layer",
    type = "function",
  },
})

--- For each layer, 1 for the rows that this step changes and 0 for the others, {rows, 1}.
local function rows(model, batches, o)
  local stats, chosen = lota.stats.collect(model, batches, { output_magnitude = true, modules = o.params }), {}
  for _, name in ipairs(stats:names()) do
    local magnitude = stats:get("output_magnitude", name)
    local n = magnitude / magnitude:sum():item()
    chosen[name] = n:ge(n:quantile(o.threshold):item()):to("f32"):unsqueeze(2)
  end
  return chosen
end

return function(model, task, given)
  local o = options.read("adapt.migu", defaults, given)
  phase.check_unsaved("adapt.migu", o)
  phase.check("adapt.migu", model, { task }, o)
  if o.dry_run then
    return o
  end
  local losses = phase.loop("adapt", model, task, o.params, o, function(trainer, batches, number)
    local chosen = rows(model, batches, o)
    if o.on_rows then
      o.on_rows(chosen, number)
    end
    return trainer:update(trainer:gradients(batches):map(function(name, gradient)
      return chosen[name] and gradient * chosen[name] or gradient
    end))
  end)
  return { losses = { adapt = losses } }
end
