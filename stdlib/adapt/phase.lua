--- One training phase: a model, a task, and the entries that may change. All methods train through here.
--
-- Examples are prompt and target joined; only target positions carry a label. The batches of a phase depend on the seed
-- alone, so calibrating and adapting see the same data in the same order, as in the published scripts.

local lota = require "lota"
local options = require "lota.options"

local phase = {}

--- What every method accepts about training itself.
phase.defaults = {
  steps = { 100, "optimizer steps", least = 1 },
  lr = { 1e-5, "learning rate", above = 0 },
  batch = { 4, "examples a step", least = 1 },
  accumulate = { 1, "batches a step", least = 1 },
  max_len = { 512, "tokens of prompt and target together", least = 2 },
  max_prompt = { 256, "tokens kept of the prompt where an example exceeds max_len; at most half of it", least = 1 },
  optimizer = {
    "rmsprop",
    "how steps are taken, as `lota.train.new` names it; its settings (weight_decay, …) are options too",
  },
  schedule = { "constant", "how the learning rate goes on after its rise, as `lota.train.new` names it" },
  warmup = { 0, "steps over which the learning rate rises; at most half of the phase", least = 0 },
  clip_norm = { nil, "the norm above which a gradient is made smaller", type = "number", least = 0 },
  checkpoint = { nil, "`block` recomputes activations: less memory, more time", type = "string" },
  keep_packed = { false, "keep frozen matrices as products read them: more memory, less time" },
  seed = { 0, "orders the batches", least = 0 },
  save_to = { nil, "a folder, for one call alone, that keeps each phase's training, also on Ctrl-C", type = "string" },
  save_every = { 0, "steps between two savings; 0: only on Ctrl-C and at the end of a phase", least = 0 },
  resume = { false, "go on from what is in save_to: the same bits as a run that was never stopped" },
  on_step = { nil, "called as f(info, phase name) after each step; returning false ends the phase", type = "function" },
  dry_run = { false, "only look at the options and the tasks, and return the options with their defaults" },
}

--- The settings of all optimizers are options too: momentum, betas, weight_decay, …
local settings = {}
for _, optimizer in ipairs(lota.train.optimizers()) do
  for name in pairs(optimizer.options) do
    settings[name] = true
    phase.defaults[name] = { nil, "a setting of the optimizer, as `lota.train.new` names it" }
  end
end

--- A trainer of `free`: a mask, or parameter names as `params` takes them ("all", a glob, a list).
local function trainer(model, free, o)
  local sparse = type(free) == "userdata"
  local given = {
    mask = sparse and free or nil,
    params = not sparse and free or nil,
    optimizer = o.optimizer,
    lr = o.lr,
    schedule = o.schedule,
    warmup = math.min(o.warmup, o.steps // 2),
    steps = o.steps,
    accumulate = o.accumulate,
    clip_norm = o.clip_norm,
    checkpoint = o.checkpoint,
    keep_packed = o.keep_packed,
  }
  for name in pairs(settings) do
    given[name] = o[name]
  end
  return lota.train.new(model, given)
end

--- What a value is: Model, Mask, string, table, …
function phase.kind(value)
  return type(value) == "userdata" and tostring(value):match "^%w+" or type(value)
end

--- The examples of a task.
local function examples(model, task, o)
  if type(task) ~= "table" or type(task.train) ~= "table" or #task.train == 0 then
    error("a task must be a table whose `train` is a list of { prompt =, target = }, and not an empty one", 4)
  end
  local room = { max_len = o.max_len, max_prompt = math.min(o.max_prompt, o.max_len // 2), eos = true }
  return lota.data.examples(model, task.train, room)
end

--- Looks at what a method is told before it trains and options.read cannot know: the tasks, the folder to save to, and how
-- steps are taken. `where` is the method's name in errors.
function phase.check(where, model, tasks, o)
  local known = phase.kind(model) == "Model" and #tasks > 0
  for _, task in ipairs(tasks) do
    known = known and type(task) == "table"
  end
  if not known then
    local text = "%s: the first argument must be a Model, the second a task, which is a table; got %s and %s;"
      .. ' tasks.open "skip" makes a task'
    error(text:format(where, phase.kind(model), phase.kind(tasks[1])), 3)
  end
  if not o.save_to and (o.resume or o.save_every > 0) then
    error(where .. ": option `save_to` is missing: resume and save_every need a folder", 3)
  end
  -- A trainer of the smallest parameter shows what is wrong with the optimizer and its settings at no cost.
  local smallest
  for _, parameter in ipairs(model:params()) do
    if not smallest or parameter.entries < smallest.entries then
      smallest = parameter
    end
  end
  trainer(model, smallest.name, o):close()
  for _, task in ipairs(tasks) do
    examples(model, task, o)
  end
  if o.save_to then
    lota.run.writable(o.save_to)
  end
end

--- Looks at whether masks can be had for `count` tasks in a row, each outside the masks before it, as `density`, `scope`,
-- `params` and `avoid` say.
function phase.check_masks(where, model, count, o)
  local all = lota.mask.all(model, { params = o.params })
  local taken = o.avoid or lota.mask.none(model)
  for index = 1, count do
    local settings = { density = o.density, params = o.params, scope = o.scope, avoid = taken, seed = 0 }
    local ok, drawn = pcall(lota.mask.random, model, settings)
    if not ok then
      local which = count > 1 and ("no mask for task %d of %d: "):format(index, count) or ""
      local why = tostring(drawn)
      error(("%s: %s%s"):format(where, which, why:match "mask%.random: .*" or why), 3)
    end
    if drawn:count() == 0 then
      local text = "%s: option `density` = %g takes none of the %d entries of `params`; one of them is %.3g"
      error(text:format(where, o.density, all:count(), 1 / all:count()), 3)
    end
    taken = lota.mask.union(taken, drawn)
  end
end

--- Trains `model` in place. `free` is a mask, or parameter names as `params` takes them ("all", a glob, a list).
-- Returns the list of losses, one a step, each before its update, and a fingerprint of the data and its order.
function phase.train(name, model, task, free, o)
  local rows = examples(model, task, o)
  local batches = lota.data.batches(rows, { size = o.batch, order = "shuffle", seed = o.seed })
  local training = trainer(model, free, o)
  local fit = training:fit(batches, {
    steps = o.steps,
    save_to = o.save_to and ("%s/%s.safetensors"):format(o.save_to, name),
    save_every = o.save_every,
    resume = o.resume,
    on_step = o.on_step and function(info)
      return o.on_step(info, name)
    end,
  })
  training:close()
  return fit.losses, batches:fingerprint()
end

--- Trains the entries of `mask` and makes a ticket of them. `model` must hold the weights that the ticket is to apply to.
-- Returns { mask, ticket, losses = { adapt } }.
function phase.sparse(method, model, task, mask, o)
  local base = o.base or model:fingerprint()
  local losses, data = phase.train("adapt", model, task, mask, o)
  local ticket = lota.ticket.new(model, mask, {
    method = method,
    base = base,
    seed = o.seed,
    data = data,
    task = task.name,
    density = o.density,
    steps = o.steps,
    calibration_steps = o.calibration_steps,
    lr = o.lr,
    optimizer = o.optimizer,
  })
  return { mask = mask, ticket = ticket, losses = { adapt = losses } }
end

return phase
