--- One training phase: a model, a task, and the entries that may change. All methods train through here.
--
-- Examples are prompt and target joined; only target positions carry a label. The batches of a phase depend on the seed
-- alone, so calibrating and adapting see the same data in the same order, as in the published scripts.

local lota = require "lota"
local dataset = require "lota.tasks.dataset"
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
  label_smoothing = { 0.0, "the share of each label spread evenly over the vocabulary", least = 0, most = 1 },
  z_loss = { 0.0, "the weight of the square of the logits' log-sum-exp", least = 0 },
  loss = { nil, "a loss of your own, as `lota.train.new` takes it", type = "function", also = { "table" } },
  clip_norm = { nil, "the norm above which a gradient is made smaller", type = "number", least = 0 },
  checkpoint = { nil, "`block` recomputes activations: less memory, more time", type = "string" },
  keep_packed = { false, "keep frozen matrices as products read them: more memory, less time" },
  seed = { 0, "orders the batches", least = 0 },
  save_to = {
    nil,
    "a folder, for one call alone, that keeps each phase's training, also on Ctrl-C; one that holds a training needs `resume`",
    type = "string",
  },
  save_every = { 0, "steps between two savings; 0: only on Ctrl-C and at the end of a phase", least = 0 },
  resume = {
    false,
    "go on from what is in save_to: the same bits as a run that was never stopped, if functions that are given do the same",
  },
  on_step = {
    nil,
    "called as f(info, phase name, trained model) after each step; false ends the phase",
    type = "function",
  },
  dry_run = { false, "only look at the options and the tasks, and return the options with their defaults" },
}

--- What goes to lota.train.new as it is. The settings of all optimizers are options too: momentum, betas, weight_decay, …
local settings = { optimizer = true, lr = true, schedule = true, steps = true, accumulate = true, clip_norm = true }
settings.checkpoint, settings.keep_packed = true, true
settings.label_smoothing, settings.z_loss = true, true
settings.loss, settings.penalty = true, true -- a penalty is set by methods, and no option of theirs
for _, optimizer in ipairs(lota.train.optimizers()) do
  for name in pairs(optimizer.options) do
    settings[name] = true
    phase.defaults[name] = { nil, "a setting of the optimizer, as `lota.train.new` names it" }
  end
end

--- A trainer of `free`: a mask, or parameter names as `params` takes them ("all", a glob, a list).
local function trainer(model, free, o)
  local sparse = type(free) == "userdata"
  local given = options.with(options.pick(settings, o), { warmup = math.min(o.warmup, o.steps // 2) })
  given.mask, given.params = sparse and free or nil, not sparse and free or nil
  return lota.train.new(model, given)
end

phase.kind = options.kind

--- The examples of a task.
local function examples(model, task, o)
  if type(task) ~= "table" or type(task.train) ~= "table" or #task.train == 0 then
    error("a task must be a table whose `train` is a list of { prompt =, target = }, and not an empty one", 4)
  end
  local room = { max_len = o.max_len, max_prompt = math.min(o.max_prompt, o.max_len // 2), eos = true }
  local ok, made = pcall(lota.data.examples, model, task.train, room)
  local row = not ok and tonumber(tostring(made):match "'rows'[^%[]*%[(%d+)%]")
  local place = row and dataset.place(task.train[row])
  if place then
    local why = tostring(made):gsub("^.*data%.examples: ", ""):gsub("^argument 'rows'[^%[]*%[%d+%]:? ?", "")
    error(("%s: %s"):format(place, why), 0)
  elseif not ok then
    error(made, 0)
  end
  return made
end

--- Looks at an option `base`: a ticket that names something else can never be applied.
local function check_base(where, base)
  if base and not (#base == 64 and base:match "^[0-9a-f]+$") then
    local text = "%s: option `base` must be a fingerprint, as model:fingerprint() gives it, got `%s`"
    error(text:format(where, base), 4)
  end
end

--- Looks at what a method is told before it trains and options.read cannot know: the tasks, the folder to save to, and
-- how steps are taken. `where` is the method's name in errors.
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
  check_base(where, o.base)
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

--- An error if a method that takes its steps by itself is told to save them: what it keeps between steps would be lost.
function phase.check_unsaved(where, o)
  if o.save_to then
    error(where .. ": option `save_to` is not for this method, whose steps are its own: it cannot go on from a file", 3)
  end
end

--- An error if a method whose loss is what it is about is given another.
function phase.check_own_loss(where, o)
  for _, name in ipairs { "loss", "label_smoothing", "z_loss" } do
    if o[name] and o[name] ~= 0 then
      error(("%s: option `%s` is not for this method, whose loss is its own"):format(where, name), 3)
    end
  end
end

--- The budget of a mask as the options say, with more options of a mask's constructor.
function phase.budget(o, more)
  -- A scope is for one number: numbers of each parameter hold in each.
  local each = type(o.count or o.density) ~= "number"
  local budget = { count = o.count, density = not o.count and o.density or nil }
  if not (each and o.scope == "global") then
    budget.scope = o.scope
  end
  return options.with(budget, more)
end

--- The mask that an option `select` returned, if it is one that can be trained.
function phase.selected(where, mask, o)
  if phase.kind(mask) ~= "Mask" then
    error(("%s: option `select` must return a Mask, it returned a %s"):format(where, phase.kind(mask)), 3)
  elseif mask:count() == 0 then
    error(where .. ": option `select` returned a mask of no entries", 3)
  elseif o.avoid and not mask:disjoint(o.avoid) then
    local text = "%s: option `select` returned %d entries that `avoid` holds; take `- avoid` from the mask"
    error(text:format(where, (mask & o.avoid):count()), 3)
  end
  return mask
end

--- What an option `score` returned, if a mask can be made of it.
function phase.scored(where, values, model)
  if phase.kind(values) ~= "Values" then
    local text = "%s: option `score` must return a Values, it returned a %s; lota.values.new makes one"
    error(text:format(where, phase.kind(values)), 3)
  end
  local known = {}
  for _, parameter in ipairs(model:params()) do
    known[parameter.name] = true
  end
  for _, name in ipairs(values:names()) do
    if not known[name] then
      error(("%s: option `score` returned numbers for %s, which the model does not have"):format(where, name), 3)
    end
  end
  if values:count() == 0 then
    error(where .. ": option `score` returned no numbers, so nothing can be chosen by them", 3)
  end
  return values
end

--- Looks at whether masks can be had for `count` tasks in a row, each outside the masks before it, as `density`, `scope`,
-- `params` and `avoid` say.
function phase.check_masks(where, model, count, o)
  if o.select then
    return -- only the function itself knows what it takes
  end
  local taken = o.avoid or lota.mask.none(model)
  for index = 1, count do
    local settings = phase.budget(o, { params = o.params, avoid = taken, seed = 0 })
    local ok, drawn = pcall(lota.mask.random, model, settings)
    if not ok then
      local which = count > 1 and ("no mask for task %d of %d: "):format(index, count) or ""
      local why = tostring(drawn)
      error(("%s: %s%s"):format(where, which, why:match "mask%.random: .*" or why), 3)
    end
    taken = lota.mask.union(taken, drawn)
  end
end

--- The batches of a phase. A method whose rows belong together sets `order`.
local function stream(rows, o)
  return lota.data.batches(rows, { size = o.batch, order = o.order or "shuffle", seed = o.seed })
end

--- The losses of all steps: those of `fit`, after those that the runs before it have logged.
local function all_losses(log, fit, last)
  local losses = {}
  for _, record in ipairs(log:records()) do
    if record.step and record.step <= last then
      losses[record.step] = record.loss -- a step that was done again stands there again: the last counts
    end
  end
  table.move(fit.losses, 1, #fit.losses, last - #fit.losses + 1, losses)
  return losses
end

--- Options that do not change the bits of a training: a run that goes on may set them otherwise.
local passing = { "save_to", "save_every", "resume", "dry_run", "keep_packed", "checkpoint", "on_step" }

--- Trains `model` in place. `free` is a mask, or parameter names as `params` takes them ("all", a glob, a list).
-- Returns the list of losses, one a step, each before its update, also those of the runs that a resumed one goes on
-- from; and a fingerprint of the data and its order.
function phase.train(name, model, task, free, o)
  local rows = examples(model, task, o)
  local batches = stream(rows, o)
  local training = trainer(model, free, o)
  -- A folder that holds a training is an error unless it is gone on with: what is there would be lost.
  local log = o.save_to and lota.run.start(("%s/%s-losses"):format(o.save_to, name), { resume = o.resume })
  if log then
    local asked =
      options.with(options.without(o, passing), { model = model, free = free, data = batches:fingerprint() })
    log:asked(asked, { resume = o.resume })
  end
  local on_step = (log or o.on_step)
    and function(info)
      if log then
        log:log { step = info.step, loss = info.loss }
      end
      if o.on_step then
        return o.on_step(info, name, model)
      end
    end
  local fit = training:fit(batches, {
    steps = o.steps,
    save_to = o.save_to and ("%s/%s.safetensors"):format(o.save_to, name),
    save_every = o.save_every,
    resume = o.resume,
    on_step = on_step,
    progress = not o.on_step,
  })
  local last = training:info().step
  training:close()
  return log and all_losses(log, fit, last) or fit.losses, batches:fingerprint()
end

--- Removes what a method kept in `folder`, the `save_to` of its call, and the folder where nothing else is in it.
function phase.forget(folder)
  collectgarbage() -- a run keeps a lock in its folder until it is collected
  for _, name in ipairs { "calibrate", "adapt" } do
    os.remove(("%s/%s.safetensors"):format(folder, name))
    os.remove(("%s/%s-losses/metrics.jsonl"):format(folder, name))
    os.remove(("%s/%s-losses"):format(folder, name))
  end
  os.remove(folder)
end

--- A phase whose steps a method takes by itself: `step(trainer, batches, number)` is called with the batches of each step
-- and returns what Trainer:update or Trainer:step returns. Returns the list of losses and the fingerprint of the data.
function phase.loop(name, model, task, free, o, step)
  local batches = stream(examples(model, task, o), o)
  local training, losses = trainer(model, free, o), {}
  for number = 1, o.steps do
    local taken = {}
    for i = 1, o.accumulate do
      taken[i] = batches:next()
    end
    local info = step(training, taken, number)
    losses[number] = info.loss
    if o.on_step and o.on_step(info, name, model) == false then
      break
    end
  end
  training:close()
  return losses, batches:fingerprint()
end

--- Batches of a task, in an endless stream, for what a method looks at beside its training.
function phase.batches(model, task, o)
  return stream(examples(model, task, o), o)
end

--- One task of all rows of a list of tasks, one after the other. `option` names the list in errors.
function phase.joined(where, option, tasks)
  if type(tasks) ~= "table" or #tasks == 0 then
    error(("%s: option `%s` must be a list of tasks, and not an empty one"):format(where, option), 3)
  end
  local rows = {}
  for i, task in ipairs(tasks) do
    if type(task) ~= "table" or type(task.train) ~= "table" or #task.train == 0 then
      error(("%s: option `%s`: task %d has no rows in `train`"):format(where, option, i), 3)
    end
    table.move(task.train, 1, #task.train, #rows + 1, rows)
  end
  return { name = option, train = rows }
end

--- A ticket of what `model` has at the entries of `mask`. `o.base` names the weights that it is to apply to.
-- `steps` are those that were taken.
function phase.ticket(method, model, task, mask, o, data, steps)
  return lota.ticket.new(model, mask, {
    method = method,
    base = o.base,
    seed = o.seed,
    data = data,
    task = task.name,
    density = type(o.density) == "number" and not o.count and not o.select and o.density or nil,
    steps = steps,
    chosen_by = o.select and "select" or o.score and "score" or nil, -- functions of the script
    loss = o.loss and "a function" or nil,
    calibration_steps = o.calibration_steps,
    lr = o.lr,
    optimizer = o.optimizer,
  })
end

--- Trains the entries of `mask` and makes a ticket of them. `model` must hold the weights that the ticket is to apply to.
-- Returns { mask, ticket, losses = { adapt } }.
function phase.sparse(method, model, task, mask, o)
  local base = o.base or model:fingerprint()
  local losses, data = phase.train("adapt", model, task, mask, o)
  local ticket = phase.ticket(method, model, task, mask, options.with(o, { base = base }), data, #losses)
  return { mask = mask, ticket = ticket, losses = { adapt = losses } }
end

return phase
