--- LoTA and LoTTO on two tasks in a row, beside their controls: who learns, and who forgets?
--
-- What: a model learns task A and then task B, once by each arm:
--
--   lotto     LoTA on A, then LoTA on B outside A's mask: LoTTO
--   overlap   LoTA on A, then LoTA on B with a mask that may overlap A's
--   random    random masks of the same density, B's outside A's
--   full      full fine-tuning on A, then on B
--
-- Every arm sees the same batches and takes the same number of optimizer steps for a task: LoTA's calibration counts, so
-- the other two train for calibration_steps + steps. After each task the model is scored on both. A seed sets the order
-- of the batches and the random masks; the tasks and their test rows stay the same.
--
-- Source: arXiv 2406.16797, sections 3 and 5 (sequential training).
--
-- How to run:
--   lota run scripts/lota.lua                                     the built-in model and tasks
--   lota run scripts/lota.lua --model DIR|FILE.gguf|HUB/ID \
--     --task-a gsm8k:DIR --task-b arc:DIR --density 0.01          a real model and published data
--   lota run scripts/lota.lua --task-a jsonl:DIR --task-b my_task.lua
--                                                               data of your own: `lota doc tasks.rows`, `lota doc tasks`
--
-- Writes a run folder: config.json, metrics.jsonl (every step and score), tickets/, report.md, loss.svg, overlap.svg and
-- overlap-by-parameter.svg. With --resume, a run that was stopped goes on: what an arm had finished is not done again. An
-- arm that was stopped by Ctrl-C goes on at its last step; one that was killed, at the last step that --save-every kept,
-- or at the beginning of the phase (calibrating or adapting) it was in.

local lota = require "lota"
local adapt = require "lota.adapt"
local options = require "lota.options"
local phase = require "lota.adapt.phase"
local report = require "lota.report"
local tasks = require "lota.tasks"

local optimizers = {}
for i, optimizer in ipairs(lota.train.optimizers()) do
  optimizers[i] = optimizer.name
end

local args = lota.args({
  model = { "builtin", "a model folder, a GGUF file, a hub id, or `builtin`" },
  task_a = {
    "skip",
    "the first task: a built-in family, name:path (gsm8k, arc, arc-choice, sql, jsonl, csv, parquet), or a Lua file",
  },
  task_b = { "nines", "the second task, written as --task-a takes it" },
  density = { 0.1, "fraction of the attention and MLP entries in each mask", above = 0, most = 1 },
  steps = { 120, "optimizer steps after calibration", least = 1 },
  calibration_steps = { 40, "optimizer steps of calibration", least = 0 },
  lr = { type = "number", help = "learning rate (default: 6e-4 for the built-in model, 1e-5 for others)", above = 0 },
  sparse_lr = { type = "number", help = "learning rate while only a mask is free (default: lr)", above = 0 },
  optimizer = { default = "rmsprop", help = "how steps are taken", choices = optimizers },
  warmup = { 10, "steps over which each phase's learning rate rises", least = 0 },
  schedule = {
    default = "constant",
    help = "how the learning rate goes on after the warmup",
    choices = { "constant", "linear", "cosine" },
  },
  chat = { false, "put prompts through the model's chat template, as a user's message" },
  batch = { 12, "examples a step", least = 1 },
  max_len = { 512, "tokens of an example at most", least = 2 },
  max_prompt = { 256, "tokens kept of a prompt whose example exceeds --max-len", least = 1 },
  seeds = { 3, "how many seeds", least = 1 },
  first_seed = { 1, "the first seed; the others follow it", least = 0 },
  eval = { 128, "test examples for each score (0: all)", least = 0 },
  arms = {
    default = { "lotto", "overlap", "random", "full" },
    help = "which arms to run",
    choices = { "lotto", "overlap", "random", "full" },
  },
  dtype = { default = "f32", help = "how the weights are held", choices = { "f32", "bf16" } },
  checkpoint = {
    default = "none",
    help = "`block` recomputes activations: less memory, more time",
    choices = { "none", "block" },
  },
  keep_packed = { false, "keep frozen matrices as products read them: more memory, less time" },
  out = { type = "string", help = "the run folder (default: the first free one of runs/lota-1, runs/lota-2, …)" },
  resume = { false, "continue the run in --out" },
  save_every = { 0, "steps between two savings of a phase (0: on Ctrl-C and at its end)", least = 0 },
})

local built_in = args.model == "builtin"
local load = built_in and lota.model.builtin or function(o)
  return lota.model.load(args.model, o)
end
local model = load { dtype = args.dtype }
local a, b = table.unpack(tasks.given(model, { { "--task-a", args.task_a }, { "--task-b", args.task_b } }, args.chat))
local base, fingerprint = model:snapshot(), model:fingerprint()
local lr = args.lr or (built_in and 6e-4 or 1e-5)
local sparse_lr = args.sparse_lr or lr
local steps_per_task = args.calibration_steps + args.steps

-- ---------------------------------------------------------------------------------------------------------------------
-- The arms. Each adapts `model`, which holds the base weights, to A and then to B, and calls `done(index, stage)` after
-- each; a stage is what the method returned: { mask, ticket, losses }.

-- What the options of this script and of the methods have in common; an arm gets a folder to save to by itself.
local training = options.without(options.pick(phase.defaults, args), { "save_every", "resume" })
training.lr = lr
local sparse = { density = args.density, lr = sparse_lr }
local calibrated = options.with(sparse, { calibration_steps = args.calibration_steps, calibration_lr = lr })
local arms = {}

--- LoTA on A, which two arms begin with: done once a seed. { seed, stage, weights }
local first = {}

--- The options of one stage of an arm, whose training is kept in a folder of its own (adapt.lotto does the same).
local function within(o, index)
  return options.with(o, { save_to = ("%s/task-%d"):format(o.save_to, index) })
end

function arms.lotto(o, done)
  adapt.lotto(
    model,
    { a, b },
    options.with(options.with(o, calibrated), {
      after = function(index, stage)
        if index == 1 then
          first = { seed = o.seed, stage = stage, weights = model:snapshot() }
        end
        done(index, stage)
      end,
    })
  )
end

function arms.overlap(o, done)
  o = options.with(options.with(o, calibrated), { base = fingerprint })
  if first.seed == o.seed then
    model:restore(first.weights)
  end
  done(1, first.seed == o.seed and first.stage or adapt.lota(model, a, within(o, 1)))
  done(2, adapt.lota(model, b, within(o, 2)))
end

function arms.random(o, done)
  o = options.with(options.with(o, sparse), { base = fingerprint, steps = steps_per_task })
  local one = adapt.random(model, a, within(o, 1))
  done(1, one)
  done(2, adapt.random(model, b, options.with(within(o, 2), { avoid = one.mask })))
end

function arms.full(o, done)
  o = options.with(o, { steps = steps_per_task })
  done(1, adapt.fft(model, a, within(o, 1)))
  done(2, adapt.fft(model, b, within(o, 2)))
end

--- What cannot work is told before anything is measured: the same calls, which only look at what they are given.
local function look(arm)
  local o = options.with(training, { dry_run = true, seed = args.first_seed })
  if arm == "lotto" then
    adapt.lotto(model, { a, b }, options.with(o, calibrated))
  elseif arm == "overlap" then
    adapt.lota(model, a, options.with(o, calibrated))
    adapt.lota(model, b, options.with(o, calibrated))
  elseif arm == "random" then
    o = options.with(options.with(o, sparse), { steps = steps_per_task })
    adapt.random(model, a, o)
    local one = lota.mask.random(model, { density = args.density, seed = args.first_seed })
    adapt.random(model, b, options.with(o, { avoid = one }))
  else
    o = options.with(o, { steps = steps_per_task })
    adapt.fft(model, a, o)
    adapt.fft(model, b, o)
  end
end

for _, arm in ipairs(args.arms) do
  local ok, why = pcall(look, arm)
  if not ok then
    error(("arm %s: %s"):format(arm, tostring(why)), 0)
  end
end

local titles = {
  none = "no training",
  lotto = "LoTA on A, LoTTO on B",
  overlap = "LoTA on A, LoTA on B",
  random = "random masks",
  full = "full fine-tuning",
}

-- ---------------------------------------------------------------------------------------------------------------------
-- Measuring: one record for an arm and a seed

local config = options.with(args, { lr = lr, sparse_lr = sparse_lr, lota = lota.version, base = fingerprint })
config.compute = model:info().compute
config.out, config.resume, config.save_every = nil, nil, nil
local run = report.start("lota", args.out, { config = config, resume = args.resume })
local count = args.eval > 0 and args.eval or nil
local letters = { "a", "b" }

local function ticket_path(arm, seed, letter)
  return run:path(("tickets/seed-%d-%s-%s.safetensors"):format(seed, arm, letter))
end

local function score_after(record, letter)
  record["a_after_" .. letter], record["b_after_" .. letter] = (a.score(model, count)), (b.score(model, count))
end

--- Removes what an arm kept for going on in its middle.
local function forget(folder)
  for index = 1, 2 do
    phase.forget(("%s/task-%d"):format(folder, index))
  end
  os.remove(folder)
end

--- A's score before any training: an arm that is no better after training on A has not learnt it, and forgets nothing.
local untrained

local function measure(arm, seed, bar)
  model:restore(base)
  local began, training_in = os.time(), run:path(("training/seed-%d-%s"):format(seed, arm))
  local record, masks, finished = { kind = "result", arm = arm, seed = seed }, {}, 0
  local function on_step(info, phase)
    local step = { kind = "step", arm = arm, seed = seed, task = letters[finished + 1], phase = phase }
    step.step, step.loss, step.grad_norm = info.step, info.loss, info.grad_norm
    run:log(step)
    bar.step(("seed %d %s %s: loss %.3f"):format(seed, arm, step.task:upper(), info.loss))
  end
  local kept = { save_to = training_in, save_every = args.save_every, resume = args.resume }
  arms[arm](options.with(options.with(training, { seed = seed, on_step = on_step }), kept), function(index, stage)
    finished, masks[index] = index, stage.mask
    score_after(record, letters[index])
    if stage.ticket then
      record["bytes_" .. letters[index]] = stage.ticket:save(ticket_path(arm, seed, letters[index])).bytes
    end
  end)
  record.forgetting = record.a_after_a > untrained and record.a_after_a - record.a_after_b or nil
  if #masks == 2 then
    local outside = { outside = lota.mask.union(masks[1], masks[2]) }
    record.overlap = masks[1]:jaccard(masks[2])
    record.capacity = lota.mask.capacity(masks).free
    local changed = model:hash(outside)
    model:restore(base)
    if changed ~= model:hash(outside) then
      error(("%s, seed %d: entries outside the masks have changed"):format(arm, seed))
    end
  end
  record.seconds = os.time() - began
  run:log(record)
  forget(training_in)
end

local phases = 0
for i, arm in ipairs(args.arms) do
  local shares = arm == "overlap" and table.concat(args.arms, " ", 1, i):find "lotto"
  phases = phases + (shares and 1 or 2)
end
if #run:records() == 0 then
  local record = { kind = "result", arm = "none", capacity = 1.0 }
  score_after(record, "a")
  record.a_after_b, record.b_after_b = record.a_after_a, record.b_after_a
  run:log(record)
end
untrained = report.where(run:records(), { kind = "result", arm = "none" })[1].a_after_a
local last_seed = args.first_seed + args.seeds - 1
local bar = report.progress("adapt", args.seeds * phases * steps_per_task)
local finished = report.where(run:records(), { kind = "result" })
for seed = args.first_seed, last_seed do
  for _, arm in ipairs(args.arms) do
    if #report.where(finished, { arm = arm, seed = seed }) == 0 then
      measure(arm, seed, bar)
    end
  end
end
bar.done()
os.remove(run:path "training") -- empty by now

-- ---------------------------------------------------------------------------------------------------------------------
-- The report: a table over the seeds, and pictures of the first

local records, rows, curves, masks = run:records(), {}, {}, {}
for _, arm in ipairs { "none", table.unpack(args.arms) } do
  rows[#rows + 1] = { titles[arm], report.where(records, { kind = "result", arm = arm }) }
  local result = report.where(records, { kind = "result", arm = arm, seed = args.first_seed })[1] or {}
  for _, letter in ipairs(letters) do
    local name, phases = arm .. " " .. letter:upper(), {}
    for _, phase in ipairs { "calibrate", "adapt" } do
      local steps =
        report.where(records, { kind = "step", arm = arm, seed = args.first_seed, task = letter, phase = phase })
      phases[#phases + 1] = #steps > 0 and report.losses(steps) or nil
    end
    masks[name] = result["bytes_" .. letter] and lota.ticket.load(ticket_path(arm, args.first_seed, letter)):mask()
    if #phases > 0 then -- the stage that two arms share has its steps under the first of them
      curves[#curves + 1] = { name = name, phases = phases, group = titles[arm], kind = "task " .. letter:upper() }
      masks[#masks + 1] = masks[name] and { name, masks[name] }
    end
  end
end

local columns = {
  { "A after A", "a_after_a" },
  { "B after A", "b_after_a" },
  { "A after B", "a_after_b" },
  { "B after B", "b_after_b" },
  { "forgetting of A", "forgetting" },
  { "mask overlap", "overlap" },
  { "bytes, ticket A", "bytes_a", format = "%.0f" },
  { "bytes, ticket B", "bytes_b", format = "%.0f" },
  { "capacity left", "capacity" },
}
local text = report.table("arm", rows, columns)
local each = { { "seed", "seed" }, { "arm", "title" } }
for _, column in ipairs(columns) do
  each[#each + 1] = { column[1], column[2], format = column.format or "%.3f" }
end
each[#each + 1] = { "seconds", "seconds" }

local results, unlearnt, short = report.where(records, { kind = "result" }), false, {}
for i, record in ipairs(results) do
  results[i] = options.with(record, { title = titles[record.arm] })
  unlearnt = unlearnt or record.arm ~= "none" and not record.forgetting
end
for i, arm in ipairs(args.arms) do
  short[i] = ("`%s` is %s"):format(arm, titles[arm])
end
short = table.concat(short, "; ") .. "."

local summary = report.fill(
  "A = {task_a} ({metric_a}), B = {task_b} ({metric_b}), {rows_a} and {rows_b} test rows; density {density},"
    .. " {calibration_steps} + {steps} steps a task of {batch} examples, lr {lr} ({sparse_lr} while only a mask is free),"
    .. " {optimizer}; {over}; products of {compute} operands.{unlearnt}",
  options.with(config, {
    task_a = a.name,
    task_b = b.name,
    metric_a = a.metric,
    metric_b = b.metric,
    rows_a = math.min(count or #a.test, #a.test),
    rows_b = math.min(count or #b.test, #b.test),
    over = args.seeds == 1 and ("seed %d alone"):format(args.first_seed)
      or ("mean ± sd over seeds %d to %d"):format(args.first_seed, last_seed),
    unlearnt = unlearnt and " Forgetting is - where an arm is no better at A after A than without training." or "",
  })
)

local pictures = {}
if #curves > 0 then
  local title = "Loss, seed " .. args.first_seed
  local rewind = args.calibration_steps > 0 and #report.where(records, { kind = "step", phase = "calibrate" }) > 0
  local marks = rewind and { { x = args.calibration_steps + 0.5, name = "calibration ends, the mask adapts" } }
  -- An arm has its colour whichever arms are run.
  local arms_in_order = { titles.lotto, titles.overlap, titles.random, titles.full }
  local drawn = { title = title, y = "loss, mean of ten steps", smooth = 10, groups = arms_in_order }
  drawn.marks = marks or nil
  report.curves(run:path "loss.svg", curves, drawn)
  pictures[#pictures + 1] = {
    "loss.svg",
    title,
    "The loss of each step, averaged with the nine before it. Arms with a calibration start again from the base's weights"
      .. " after it; a stage that two arms share is drawn once.",
  }
end
if #masks > 1 then
  report.overlap(run:path "overlap.svg", masks)
  pictures[#pictures + 1] =
    { "overlap.svg", "Mask overlap", "How much the masks share: entries in both over entries in either. " .. short }
end
if masks["overlap A"] then
  local title = "Overlap of the masks of A and B when nothing keeps them apart"
  local path = run:path "overlap-by-parameter.svg"
  report.overlap_by_parameter(path, model, masks["overlap A"], masks["overlap B"], { title = title })
  pictures[#pictures + 1] = { "overlap-by-parameter.svg", title, "How much the masks of A and B share in each matrix." }
end
local seconds = 0
for _, value in ipairs(report.column(results, "seconds")) do
  seconds = seconds + value
end
local only = args.resume and " (of an arm that was stopped, the part after it was resumed)" or ""
report.write(run, {
  title = ("LoTA and LoTTO: %s, then %s"):format(a.name, b.name),
  summary = summary,
  table = text,
  pictures = pictures,
  rows = report.rows(results, each),
  about = report.about(
    model,
    fingerprint,
    { { "time", report.duration(seconds) .. " for all arms and seeds" .. only } }
  ),
})
print(summary .. "\n\n" .. text .. "\n\nrun folder: " .. run:dir() .. " (report.md has the pictures)")
