--- Experience replay (arXiv 1811.11682): rows of earlier tasks are mixed into those of the new one.
--
-- `fraction` of the rows that are trained on come from the earlier tasks, drawn once, each row at most once. What
-- differs: the paper learns by reinforcement and also clones the old policy; here old rows are trained on as new ones
-- are.
--
-- Changes `model` in place. Returns { replayed = how many rows, losses = { adapt } }.

local lota = require "lota"
local options = require "lota.options"
local phase = require "lota.adapt.phase"

local defaults = options.with(phase.defaults, {
  earlier = { nil, "the list of tasks to remember; needed", type = "table" },
  fraction = { 0.1, "of the rows that come from the earlier tasks, below 1", least = 0, most = 0.99 },
  params = { "all", "the parameters that may change: a name, a glob, a list, a function(parameter) → boolean" },
})

--- The rows of `task`, then `count` rows drawn from `earlier`.
local function mixed(task, earlier, count, seed)
  local rows = table.move(task.train, 1, #task.train, 1, {})
  local order = lota.rng(seed):shuffle(earlier.train)
  return { name = task.name, train = table.move(order, 1, count, #rows + 1, rows) }
end

return function(model, task, given)
  local o = options.read("adapt.replay", defaults, given)
  local earlier = phase.joined("adapt.replay", "earlier", o.earlier)
  phase.check("adapt.replay", model, { task, earlier }, o)
  local count = math.floor(#task.train * o.fraction / (1 - o.fraction) + 0.5)
  if count > #earlier.train then
    local text = "adapt.replay: option `fraction` asks for %d rows of earlier tasks, which have %d"
    error(text:format(count, #earlier.train), 2)
  end
  if o.dry_run then
    return options.with(o, { replayed = count })
  end
  local losses = phase.train("adapt", model, mixed(task, earlier, count, o.seed), o.params, o)
  return { replayed = count, losses = { adapt = losses } }
end
