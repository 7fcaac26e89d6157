--- A sequence of tasks under several methods: who learns, who forgets, and what capacity is left.
--
-- What: a model learns the tasks one after the other, once for each method, order and seed, and is scored on all tasks
-- after each. The controls `random` (random masks of the same density) and `full` (full fine-tuning) are always among the
-- methods (`lota doc cl.methods`). All methods take the same number of optimizer steps for a task.
--
-- Source: the figures are those of Lopez-Paz and Ranzato 2017 (arXiv 1706.08840), Chaudhry et al. 2018 (arXiv 1801.10112)
-- and De Lange et al. 2023 (arXiv 2205.13452): `lota doc cl.metrics`.
--
-- How to run:
--   lota run scripts/sequence.lua                                the built-in model, five tasks
--   lota run scripts/sequence.lua --orders 3 --seeds 3 --methods lotto,ewc
--   lota run scripts/sequence.lua --short                        a minute or less, to see that it works
--   lota run scripts/sequence.lua --model DIR --tasks gsm8k:DIR,arc:DIR --density 0.01
--
-- Writes a run folder: config.json, metrics.jsonl (every score), report.md and a heat map of the scores for each method.
-- With --resume, a run that was stopped goes on.

local lota = require "lota"
local cl = require "lota.cl"
local options = require "lota.options"
local report = require "lota.report"
local tasks = require "lota.tasks"

local names = {}
for name in pairs(cl.methods) do
  names[#names + 1] = name
end
table.sort(names)

local args = lota.args({
  model = { "builtin", "a model folder, a GGUF file, a hub id, or `builtin`" },
  tasks = {
    default = { "skip", "nines", "sort", "unrotate", "leap" },
    help = "the tasks in their first order: built-in families, name:path, or Lua files",
  },
  methods = {
    default = { "lotto", "random", "lora", "ewc", "replay", "full" },
    help = "which methods to run; random and full are added",
    choices = names,
  },
  orders = { 1, "how many orders of the tasks: as given, then shuffled", least = 1 },
  seeds = { 1, "how many seeds", least = 1 },
  first_seed = { 1, "the first seed; the others follow it", least = 0 },
  density = { 0.1, "fraction of the attention and MLP entries in each mask", above = 0, most = 1 },
  steps = { 120, "optimizer steps after calibration", least = 1 },
  calibration_steps = { 40, "optimizer steps of calibration", least = 1 },
  lr = { type = "number", help = "learning rate (default: 6e-4 for the built-in model, 1e-5 for others)", above = 0 },
  warmup = { 10, "steps over which each phase's learning rate rises", least = 0 },
  batch = { 12, "examples a step", least = 1 },
  max_len = { 512, "tokens of an example at most", least = 2 },
  eval = { 64, "test examples for each score (0: all)", least = 0 },
  probe_every = { 0, "steps between two scores of earlier tasks inside a task (0: none)", least = 0 },
  chat = { false, "put prompts through the model's chat template, as a user's message" },
  short = { false, "3 + 1 steps a task and 4 test examples, whatever --steps, --calibration-steps and --eval say" },
  out = { type = "string", help = "the run folder (default: the first free one of runs/sequence-1, …)" },
  resume = { false, "continue the run in --out" },
  save_every = { 0, "steps between two savings of a phase (0: on Ctrl-C and at its end)", least = 0 },
})
if args.short then
  args = options.with(args, { steps = 3, calibration_steps = 1, eval = 4 })
end

local built_in = args.model == "builtin"
local model = built_in and lota.model.builtin() or lota.model.load(args.model)
local wanted = {}
for i, name in ipairs(args.tasks) do
  wanted[i] = { "--tasks", name }
end
local opened = tasks.given(model, wanted, args.chat)
local lr = args.lr or (built_in and 6e-4 or 1e-5)
local fingerprint = model:fingerprint()

local config = options.with(args, { lr = lr, lota = lota.version, base = fingerprint, compute = model:info().compute })
config.out, config.resume, config.save_every = nil, nil, nil
local run = report.start("sequence", args.out, { config = config, resume = args.resume })
local began = os.time()
local results = cl.study(run, model, opened, {
  methods = args.methods,
  orders = args.orders,
  seeds = args.seeds,
  first_seed = args.first_seed,
  density = args.density,
  steps = args.steps,
  calibration_steps = args.calibration_steps,
  lr = lr,
  warmup = args.warmup,
  batch = args.batch,
  max_len = args.max_len,
  count = args.eval > 0 and args.eval or nil,
  probe_every = args.probe_every,
  save_every = args.save_every,
  resume = args.resume,
  progress = function(method, order, seed)
    print(("%s, order %d, seed %d"):format(method, order, seed))
  end,
})

local pictures, drawn = {}, {}
for _, result in ipairs(results) do
  if result.order == 1 and not drawn[result.method] then
    drawn[result.method] = true
    local file, title = ("scores-%s.svg"):format(result.method), ("Scores under %s"):format(result.method)
    cl.heatmap(run:path(file), report.where(results, { method = result.method, order = 1 }), title)
    pictures[#pictures + 1] = { file, title, "Each task's score after each task, first order, mean over seeds." }
  end
end

local summary = report.fill(
  "{tasks}; density {density}, {calibration_steps} + {steps} steps a task of {batch} examples, lr {lr}; mean ± sd over"
    .. " {orders} orders and {seeds} seeds.",
  options.with(config, { tasks = table.concat(args.tasks, ", ") })
)
local text = cl.table(results)
report.write(run, {
  title = ("A sequence of %d tasks"):format(#opened),
  summary = summary,
  table = text,
  pictures = pictures,
  rows = report.rows(results, {
    { "method", "method" },
    { "order", "order" },
    { "seed", "seed" },
    { "average", "average", format = "%.3f" },
    { "backward transfer", "backward", format = "%.3f" },
    { "forgetting", "forgetting", format = "%.3f" },
    { "forward transfer", "forward", format = "%.3f" },
    { "capacity left", "capacity", format = "%.3f" },
  }),
  about = report.about(model, fingerprint, { { "time", report.duration(os.time() - began) } }),
})
print(summary .. "\n\n" .. text .. "\n\nrun folder: " .. run:dir() .. " (report.md has the pictures)")
