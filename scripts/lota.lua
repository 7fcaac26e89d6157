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
--     --task-a gsm8k:DIR --task-b arc:DIR --density 0.01          a real model and real data
--
-- Writes a run folder: config.json, metrics.jsonl (every step, score and mask), tickets/, report.md, loss.svg,
-- overlap.svg and overlap-by-parameter.svg. With --resume, seeds that a stopped run had finished are not run again.

local lota = require "lota"
local adapt = require "lota.adapt"
local options = require "lota.options"
local report = require "lota.report"
local tasks = require "lota.tasks"

local args = lota.args({
  model = { "builtin", "a model folder, a GGUF file, a hub id, or `builtin`" },
  task_a = { "mirror", "the first task: a built-in family, or name:path (gsm8k, arc, arc-choice, sql)" },
  task_b = { "nines", "the second task" },
  density = { 0.1, "fraction of the attention and MLP entries in each mask" },
  steps = { 120, "optimizer steps after calibration" },
  calibration_steps = { 40, "optimizer steps of calibration" },
  lr = { type = "number", help = "learning rate (default: 6e-4 for the built-in model, 1e-5 for others)" },
  sparse_lr = { type = "number", help = "learning rate while only a mask is free (default: lr)" },
  optimizer = { default = "rmsprop", help = "how steps are taken", choices = { "rmsprop", "adamw", "sgd", "lion" } },
  warmup = { 10, "steps over which each phase's learning rate rises" },
  schedule = {
    default = "constant",
    help = "how the learning rate goes on after its rise",
    choices = { "constant", "linear", "cosine" },
  },
  batch = { 12, "examples a step" },
  max_len = { 512, "tokens of an example at most" },
  max_prompt = { 256, "tokens of a prompt at most" },
  seeds = { 3, "how many seeds" },
  eval = { 128, "test examples for each score (0: all)" },
  arms = { { "lotto", "overlap", "random", "full" }, "which arms to run" },
  dtype = { default = "f32", help = "how the weights are held", choices = { "f32", "bf16" } },
  checkpoint = {
    default = "none",
    help = "`block` recomputes activations: less memory, more time",
    choices = { "none", "block" },
  },
  out = { type = "string", help = "the run folder (default: the first free one of runs/lota-1, runs/lota-2, …)" },
  resume = { false, "continue the run in --out" },
})

local built_in = args.model == "builtin"
local model = built_in and lota.model.builtin({ dtype = args.dtype })
  or lota.model.load(args.model, { dtype = args.dtype })
local a, b = tasks.open(args.task_a), tasks.open(args.task_b)
local base, fingerprint = model:snapshot(), model:fingerprint()
local lr = args.lr or (built_in and 6e-4 or 1e-5)
local sparse_lr = args.sparse_lr or lr

local training = {
  steps = args.steps,
  lr = lr,
  optimizer = args.optimizer,
  schedule = args.schedule,
  warmup = args.warmup,
  batch = args.batch,
  max_len = args.max_len,
  max_prompt = args.max_prompt,
  checkpoint = args.checkpoint,
}
local sparse = { density = args.density, lr = sparse_lr, base = fingerprint }
local calibrated = options.with(sparse, { calibration_steps = args.calibration_steps, calibration_lr = lr })
local steps_per_task = args.calibration_steps + args.steps
local uncalibrated = { steps = steps_per_task }

-- ---------------------------------------------------------------------------------------------------------------------
-- The arms. Each adapts `model`, which holds the base weights, to A and then to B, and calls `done(index, stage)` after
-- each; a stage is what the method returned: { mask, ticket, losses }.

local arms = {}

--- LoTA on A, which two arms begin with: done once a seed. { seed, stage, weights }
local first = {}

function arms.lotto(o, done)
  o = options.with(o, calibrated)
  o.base = nil
  o.after = function(index, stage)
    if index == 1 then
      first = { seed = o.seed, stage = stage, weights = model:snapshot() }
    end
    done(index, stage)
  end
  adapt.lotto(model, { a, b }, o)
end

function arms.overlap(o, done)
  o = options.with(o, calibrated)
  if first.seed == o.seed then
    model:restore(first.weights)
    done(1, first.stage)
  else
    done(1, adapt.lota(model, a, o))
  end
  done(2, adapt.lota(model, b, o))
end

function arms.random(o, done)
  o = options.with(options.with(o, sparse), uncalibrated)
  local one = adapt.random(model, a, o)
  done(1, one)
  done(2, adapt.random(model, b, options.with(o, { avoid = one.mask })))
end

function arms.full(o, done)
  o = options.with(o, uncalibrated)
  done(1, adapt.fft(model, a, o))
  done(2, adapt.fft(model, b, o))
end

local titles = {
  lotto = "LoTA on A, LoTTO on B",
  overlap = "LoTA on A, LoTA on B",
  random = "random masks",
  full = "full fine-tuning",
}

for _, name in ipairs(args.arms) do
  if not arms[name] then
    error(("--arms: no arm is called `%s`; did you mean `%s`?"):format(name, options.nearest(name, arms)), 0)
  end
end

-- ---------------------------------------------------------------------------------------------------------------------
-- Measuring

local config = { lr_used = lr, sparse_lr_used = sparse_lr, lota = lota.version, base = fingerprint }
for name, value in pairs(args) do
  if name ~= "out" and name ~= "resume" then
    config[name] = value
  end
end
local run = report.start("lota", args.out, { config = config, resume = args.resume })
local count = args.eval > 0 and args.eval or nil

local function scores()
  return { a = (a.score(model, count)), b = (b.score(model, count)) }
end

--- One arm with one seed: a flat record of what came out, and the masks and losses of the two stages.
local function measure(name, seed, bar)
  model:restore(base)
  local record = { kind = "result", arm = name, seed = seed }
  local stages = {}
  local settings = options.with(training, {
    seed = seed,
    on_step = function(info, phase)
      local task = #stages == 0 and "a" or "b"
      run:log({
        kind = "step",
        arm = name,
        seed = seed,
        task = task,
        phase = phase,
        step = info.step,
        loss = info.loss,
        grad_norm = info.grad_norm,
      })
      bar:step(("seed %d %s %s: loss %.3f"):format(seed, name, task:upper(), info.loss))
    end,
  })
  arms[name](settings, function(index, stage)
    stages[index] = stage
    local now, letter = scores(), index == 1 and "a" or "b"
    record["a_after_" .. letter], record["b_after_" .. letter] = now.a, now.b
    if stage.ticket then
      local path = run:path(("tickets/seed-%d-%s-%s.safetensors"):format(seed, name, letter))
      record["bytes_" .. letter] = stage.ticket:save(path).bytes
    end
  end)
  record.forgetting = record.a_after_a - record.a_after_b
  local one, two = stages[1].mask, stages[2].mask
  if one then
    local taken = lota.mask.union(one, two)
    record.overlap = one:jaccard(two)
    record.capacity = lota.mask.capacity({ one, two }).free
    local changed = model:hash({ outside = taken })
    model:restore(base)
    if changed ~= model:hash({ outside = taken }) then
      error(("%s, seed %d: entries outside the masks have changed"):format(name, seed))
    end
  end
  run:log(record)
  return record, stages
end

-- ---------------------------------------------------------------------------------------------------------------------
-- The runs

local before = scores()
local earlier = run:records()
if #earlier == 0 then
  run:log({ kind = "base", a = before.a, b = before.b })
end

local records, pictured = {}, {}
for _, record in ipairs(earlier) do
  if record.kind == "result" then
    records[#records + 1] = record
  end
end
local function finished(name, seed)
  for _, record in ipairs(records) do
    if record.arm == name and record.seed == seed then
      return true
    end
  end
end

--- A progress bar that counts steps.
local function progress(total)
  local bar, at = lota.progress("adapt", total), 0
  return {
    step = function(_, note)
      at = at + 1
      bar:update(at, note)
    end,
    done = function()
      bar:done()
    end,
  }
end

local phases = 0
for i, name in ipairs(args.arms) do
  local shared = name == "overlap" and table.concat(args.arms, " ", 1, i):find "lotto"
  phases = phases + (shared and 1 or 2)
end
local bar = progress(args.seeds * phases * steps_per_task)
for seed = 1, args.seeds do
  for _, name in ipairs(args.arms) do
    if not finished(name, seed) then
      local record, stages = measure(name, seed, bar)
      records[#records + 1] = record
      if seed == 1 then
        pictured[name] = stages
      end
    end
  end
end
bar:done()

-- ---------------------------------------------------------------------------------------------------------------------
-- The table

local function column(name, field)
  local values = {}
  for _, record in ipairs(records) do
    if record.arm == name and record[field] then
      values[#values + 1] = record[field]
    end
  end
  return values
end

local heads = {
  "arm",
  "A after A",
  "B after A",
  "A after B",
  "B after B",
  "forgetting of A",
  "mask overlap",
  "ticket bytes, A and B",
  "capacity left",
}
local score = "%.3f"
local rows = {
  {
    "no training",
    score:format(before.a),
    score:format(before.b),
    score:format(before.a),
    score:format(before.b),
    "-",
    "-",
    "-",
    "1.000",
  },
}
for _, name in ipairs(args.arms) do
  local bytes = "-"
  if #column(name, "bytes_a") > 0 then
    bytes = ("%.0f, %.0f"):format(report.mean_sd(column(name, "bytes_a")), (report.mean_sd(column(name, "bytes_b"))))
  end
  rows[#rows + 1] = {
    titles[name],
    report.spread(column(name, "a_after_a")),
    report.spread(column(name, "b_after_a")),
    report.spread(column(name, "a_after_b")),
    report.spread(column(name, "b_after_b")),
    report.spread(column(name, "forgetting")),
    report.spread(column(name, "overlap")),
    bytes,
    report.spread(column(name, "capacity")),
  }
end
local text = lota.markdown(heads, rows)

local summary = (
  "A = %s (%s), B = %s (%s), %d test rows each; density %g, %d + %d steps a task of %d examples, lr %g (%g while only a"
  .. " mask is free), %s; mean ± sd over %d seed%s."
):format(
  a.name,
  a.metric,
  b.name,
  b.metric,
  math.min(count or #a.test, #a.test),
  args.density,
  args.calibration_steps,
  args.steps,
  args.batch,
  lr,
  sparse_lr,
  args.optimizer,
  args.seeds,
  args.seeds == 1 and "" or "s"
)

-- ---------------------------------------------------------------------------------------------------------------------
-- The pictures, from seed 1

local curves, masks = {}, {}
for _, name in ipairs(args.arms) do
  for index, stage in ipairs(pictured[name] or {}) do
    local letter = index == 1 and "A" or "B"
    curves[#curves + 1] = { name = name .. " " .. letter, values = stage.losses.adapt }
    if stage.mask and not (name == "overlap" and index == 1 and pictured.lotto) then
      masks[#masks + 1] = { name .. " " .. letter, stage.mask }
    end
  end
end
if #curves > 0 then
  report.curves(run:path "loss.svg", curves, { title = "Loss while adapting, seed 1", smooth = 10 })
end
if #masks > 1 then
  report.overlap(run:path "overlap.svg", masks)
end
if pictured.overlap then
  report.overlap_by_parameter(
    run:path "overlap-by-parameter.svg",
    model,
    pictured.overlap[1].mask,
    pictured.overlap[2].mask,
    { title = "Overlap of the masks of A and B when nothing keeps them apart" }
  )
end

run:write(
  "report.md",
  table.concat({ "# LoTA and LoTTO: " .. a.name .. ", then " .. b.name, "", summary, "", text, "" }, "\n")
)
print(summary)
print()
print(text)
print()
print("run folder: " .. run:dir())
