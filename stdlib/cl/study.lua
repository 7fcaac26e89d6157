--- Methods x orders x seeds: the same tasks in several orders, each with several seeds, under each method.
--
--   local results = study(run, model, tasks, { methods = { "lotto" }, orders = 3, seeds = 3, steps = 100, lr = 1e-4 })
--   study(run, model, tasks, { methods = { "lotto", { "mine", my_method } } })      a method of one's own beside it
--
--   results[i]   { method, order, seed, tasks = names in order, R, untrained, probes, capacity, and the figures of
--                  lota.cl.metrics.all }
--
-- The controls `random` and `full` are always among the methods. Order 1 is the one given, the others are shuffled, none
-- twice, and order 2 is the same on every machine. The options of training (steps, lr, batch, …) and of lota.cl.sequence
-- (density, count, own, …) are those of every sequence. `run` is a run folder (lota.run.start): scores and results go to its
-- metrics.jsonl. With `resume`, a study that was stopped goes on: finished sequences are read from there, and the one
-- that was stopped goes on in its middle. The model has its first weights again at the end.

local lota = require "lota"
local methods = require "lota.cl.methods"
local metrics = require "lota.cl.metrics"
local options = require "lota.options"
local phase = require "lota.adapt.phase"
local report = require "lota.report"
local sequence = require "lota.cl.sequence"

local defaults = {
  methods = {
    { "lotto" },
    "names in lota.cl.methods, or pairs { name, function } as lota.cl.sequence takes one; random and full are added",
  },
  orders = { 1, "how many orders of the tasks", least = 1 },
  seeds = { 1, "how many seeds", least = 1 },
  first_seed = { 1, "the first seed; the others follow it", least = 0 },
  resume = { false, "go on with what is in the run folder" },
  progress = { nil, "called as f(method, order, seed) before each sequence that is run", type = "function" },
}

--- Options of lota.cl.sequence that are not for the caller.
local withheld = { "method", "seed", "record", "known", "save_to" }

--- The first `count` orders of `n` tasks, as lists of their places: as given, then shuffled, none twice.
local function orders_of(n, count)
  local possible = 1
  for i = 2, n do
    possible = math.min(possible * i, count)
  end
  if count > possible then
    error(("cl.study: option `orders` is %d, but %d tasks have only %d"):format(count, n, possible), 3)
  end
  local places = {}
  for i = 1, n do
    places[i] = i
  end
  local out, seen, draw = { places }, { [table.concat(places, " ")] = true }, 1
  while #out < count do
    draw = draw + 1
    local order = lota.rng(draw):shuffle(places)
    local name = table.concat(order, " ")
    out[#out + 1] = not seen[name] and order or nil
    seen[name] = true
  end
  return out
end

--- The methods that are run, each { name, what lota.cl.sequence takes }: those asked for, then the controls that are not among
-- them.
local function with_controls(given)
  local out, seen = {}, {}
  for _, list in ipairs { given, { "random", "full" } } do
    for _, one in ipairs(list) do
      local name, method = one, one
      if type(one) == "table" then
        name, method = one[1], one[2]
      end
      if type(name) ~= "string" or not (method == name or type(method) == "function") then
        error("cl.study: option `methods` must hold names and pairs { name, function }", 3)
      elseif method ~= name and methods[name] then
        error(("cl.study: `%s` is a method of lota.cl.methods; give your own another name"):format(name), 3)
      end
      out[#out + 1] = not seen[name] and { name, method } or nil
      seen[name] = true
    end
  end
  return out
end

--- What decides the results of a study, which a later call with the same run must ask for too.
local function asked(model, tasks, settings)
  local names = {}
  for i, task in ipairs(tasks) do
    names[i] = ("%s (%d rows)"):format(tostring(task.name), #task.train)
  end
  local decisive = options.without(settings, { "save_every", "on_step" })
  return options.with(decisive, { model = model, tasks = table.concat(names, ", "), rows = tasks })
end

--- Removes the training that was kept for going on in the middle of a sequence.
local function forget(folder, count)
  for i = 1, count do
    phase.forget(("%s/task-%d"):format(folder, i))
  end
  os.remove(folder)
end

return function(run, model, tasks, given)
  local o = options.read("cl.study", defaults, options.pick(defaults, given or {}))
  local settings = options.without(given or {}, { "methods", "orders", "seeds", "first_seed", "resume", "progress" })
  for _, name in ipairs(withheld) do
    if settings[name] ~= nil then
      error(("cl.study: `%s` is set for each sequence by the study itself; leave it out"):format(name), 2)
    end
  end
  if options.kind(run) ~= "Run" then
    error("cl.study: the first argument must be a Run, as lota.run.start gives one, got a " .. options.kind(run), 2)
  end
  if type(o.methods) ~= "table" or #o.methods == 0 and next(o.methods) ~= nil then
    error('cl.study: option `methods` must be a list, as { "lotto", { "mine", my_method } }', 2)
  end
  local all = with_controls(o.methods)
  for _, method in ipairs(all) do
    sequence(model, tasks, options.with(settings, { method = method[2], dry_run = true }))
  end
  local orders = orders_of(#tasks, o.orders)
  if settings.dry_run then
    return {}
  end
  run:asked(asked(model, tasks, settings), { resume = true })
  local base, results, before = model:snapshot(), {}, run:records()
  for order, places in ipairs(orders) do
    local list, names = {}, {}
    for i, place in ipairs(places) do
      list[i], names[i] = tasks[place], tasks[place].name
    end
    for seed = o.first_seed, o.first_seed + o.seeds - 1 do
      for _, one in ipairs(all) do
        local method = one[1]
        local this = { method = method, order = order, seed = seed }
        local result = report.where(before, options.with(this, { kind = "sequence" }))[1]
        if not result then
          local folder = run:path(("training/%s-%d-%d"):format(method, order, seed))
          if o.progress then
            o.progress(method, order, seed)
          end
          model:restore(base)
          local out = sequence(
            model,
            list,
            options.with(settings, {
              method = one[2],
              seed = seed,
              save_to = folder,
              resume = o.resume,
              known = report.where(before, options.with(this, { kind = "score" })),
              record = function(record)
                run:log(options.with(options.with(this, { kind = "score" }), record))
              end,
            })
          )
          result = options.with(options.with(this, { kind = "sequence", tasks = names }), out)
          result.stages = nil
          result = options.with(result, metrics.all(out.R, out.untrained, out.probes))
          run:log(result)
          forget(folder, #list)
        end
        results[#results + 1] = result
      end
    end
  end
  os.remove(run:path "training")
  model:restore(base)
  return results
end
