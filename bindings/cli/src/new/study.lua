--- STUDY: how much of a task can a model learn by changing a small part of its weights?
--
-- What: each arm starts from the same weights, sees the same batches and takes the same number of steps.
--
--   none     the model as it is
--   full     full fine-tuning: every weight may change
--   random   a random mask: of the attention and MLP entries a fraction `density`, drawn blindly, may change
--   lota     LoTA: the same number of entries, those that move most in a short calibration
--
-- The task is in STUDY-task.lua.
--
-- How to run:
--   lota run STUDY.lua                      the built-in model, which is tiny: seconds
--   lota run STUDY.lua --model DIR --lr 1e-5  a model of yours: a folder, a GGUF file or a hub id
--   lota run STUDY.lua --out DIR --resume   goes on with a run that was stopped
--   lota run STUDY.lua --help               all options
--
-- Writes a run folder: metrics.jsonl (every step and score), tickets/ (what the sparse arms learned) and report.md.

local lota = require "lota"
local adapt = require "lota.adapt" -- `lota doc adapt` describes it
local options = require "lota.options"
local phase = require "lota.adapt.phase"
local report = require "lota.report"

local args = lota.args({
  model = { "builtin", "a model folder, a GGUF file, a hub id, or `builtin`" },
  density = { 0.1, "fraction of the attention and MLP entries that the sparse arms may change", above = 0, most = 1 },
  steps = { 60, "optimizer steps of each arm, LoTA's calibration included", least = 1 },
  calibration_steps = { 20, "how many of --steps LoTA spends on calibration", least = 0 },
  lr = { 1e-3, "learning rate", above = 0 },
  batch = { 8, "examples a step", least = 1 },
  seeds = { 2, "how many seeds; a seed sets the order of the batches", least = 1 },
  out = { type = "string", help = "the run folder (default: the first free one of runs/STUDY-1, runs/STUDY-2, …)" },
  resume = { false, "go on with the run in --out, which was stopped" },
})

if args.steps <= args.calibration_steps then
  local text = "--steps (%d) must be more than --calibration-steps (%d): the calibration is part of them"
  error(text:format(args.steps, args.calibration_steps), 0)
end
local task = require "STUDY-task"
if type(task) ~= "table" then
  local text = [[STUDY-task.lua must return a task, which is a table, got %s; require("lota.tasks").open "skip" makes one]]
  error(text:format(type(task) == "string" and ("the text %q"):format(task) or "a " .. type(task)), 0)
end
if type(task.score) ~= "function" then
  local text = "the task has no `score`: add task.score = function(model) … end, which returns a number, to STUDY-task.lua"
  error(text .. " (scoring.by_generating makes one; `lota doc tasks` has more)", 0)
end

local model = args.model == "builtin" and lota.model.builtin() or lota.model.load(args.model)
local base = model:snapshot()

-- ---------------------------------------------------------------------------------------------------------------------
-- The arms: functions that change `model`. `o` holds the options that all of them share. Add your own here.

local rest = args.steps - args.calibration_steps
local arms = {
  {
    "none",
    function()
      return {}
    end,
  },
  {
    "full",
    function(o)
      o.steps = args.steps
      return adapt.fft(model, task, o)
    end,
  },
  {
    "random",
    function(o)
      o.steps, o.density = args.steps, args.density
      return adapt.random(model, task, o)
    end,
  },
  {
    "lota",
    function(o)
      o.steps, o.calibration_steps, o.density = rest, args.calibration_steps, args.density
      return adapt.lota(model, task, o)
    end,
  },
}

-- ---------------------------------------------------------------------------------------------------------------------
-- Each arm with each seed: back to the first weights, train, score. What a run that was stopped has done is not done again.

-- What cannot work is an error before anything trains: with `dry_run`, the methods only look at what they are given.
for _, arm in ipairs(arms) do
  local ok, why = pcall(arm[2], { dry_run = true, seed = 1, lr = args.lr, batch = args.batch })
  if not ok then
    error(("arm %s: %s"):format(arm[1], tostring(why)), 0)
  end
end

local config = options.without(args, { "out", "resume" })
local run = report.start("STUDY", args.out, { config = config, resume = args.resume })
local bar = report.progress("STUDY", args.seeds * 3 * args.steps)
local rows = {}

local function measure(name, train, seed)
  local record = { kind = "result", arm = name, seed = seed }
  if #report.where(run:records(), record) > 0 then
    return
  end
  model:restore(base)
  local kept = run:path(("training/%s-%d"):format(name, seed))
  local result = train {
    seed = seed,
    lr = args.lr,
    batch = args.batch,
    save_to = kept, -- on Ctrl-C the training is saved here, and --resume goes on with it
    resume = args.resume,
    on_step = function(info, phase)
      run:log { kind = "step", arm = name, seed = seed, phase = phase, step = info.step, loss = info.loss }
      bar.step(("%s, seed %d: loss %.3f"):format(name, seed, info.loss))
    end,
  }
  record.score = (task.score(model))
  if result.ticket then
    record.bytes = result.ticket:save(run:path(("tickets/%s-%d.safetensors"):format(name, seed))).bytes
  end
  run:log(record)
  phase.forget(kept)
end

for i, arm in ipairs(arms) do
  for seed = 1, args.seeds do
    measure(arm[1], arm[2], seed)
  end
  rows[i] = { arm[1], report.where(run:records(), { kind = "result", arm = arm[1] }) }
end
bar.done()
os.remove(run:path "training") -- empty now

-- ---------------------------------------------------------------------------------------------------------------------
-- The report: a mean and its spread over the seeds for each arm

local columns = { { task.metric or "score", "score" }, { "bytes of the ticket", "bytes", format = "%.0f" } }
local text = report.table("arm", rows, columns)
local remark = ("Seeds: %d; test rows: %s. Few seeds and few rows say little about small differences: --seeds runs more."):format(
  args.seeds,
  task.test and #task.test or "unknown"
)
run:write("report.md", ("# STUDY\n\n%s\n%s\n"):format(text, remark))
print(text .. "\n" .. remark .. "\n\nrun folder: " .. run:dir())
