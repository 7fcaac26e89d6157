--- Merging three LoTA tickets against merging three full fine-tunes: what is left of each task?
--
-- What: one base learns three tasks apart, once by LoTA (a ticket of a fraction of the entries for each) and once by
-- full fine-tuning. Each three are merged, and every model is scored on all three tasks. The arms:
--
--   alone             each task's own model, on its own task: what merging can keep at most
--   task arithmetic   the base and the sum of task vectors, each times --weight
--   ties              of each task vector the largest --ties-density, those that agree in sign, times --lambda
--   disjoint          tickets only: the sum, exact where one ticket alone sets an entry, the mean where several do
--   magmax            entry by entry the larger change
--
-- LoTA tickets are sparse, so two of them rarely change the same entry; the report says how often they do, and how often
-- in opposite directions.
--
-- Source: arXiv 2406.16797, section 6 (merging); arXiv 2212.04089 (task arithmetic); arXiv 2306.01708 (TIES).
--
-- How to run:
--   lota run scripts/merge.lua                                    the built-in model and tasks, 3 seeds, in minutes
--   lota run scripts/merge.lua --model DIR|FILE.gguf|HUB/ID \
--     --tasks gsm8k:DIR,arc:DIR,sql:DIR --density 0.01            a real model and published data
-- Data of your own: --tasks jsonl:DIR,my_task.lua (`lota doc tasks.rows`, `lota doc tasks`).
--
-- Measured (defaults, 61 s on 2 cores; mean of the three scores): alone 0.967 (tickets) and 0.996 (full); merged tickets 0.049 by
-- task arithmetic, 0.200 by TIES, 0.198 by magmax, 0.195 by disjoint; merged fine-tunes 0.066, 0.076 and 0.092 by the first
-- three. Several tickets change the same entry in a tenth of the entries that any of them changes; full fine-tunes change all
-- entries. Of such entries, half (tickets) and three quarters (fine-tunes) are changed in opposite directions. No merge keeps
-- `nines`.
--
-- Writes a run folder: config.json, metrics.jsonl (every score), tickets/, report.md, and conflicts-lota.svg and
-- conflicts-full.svg (what the task vectors of the first seed do to each layer). With --resume, a seed that a stopped
-- run had finished is not run again.

local adapt = require "lota.adapt"
local lota = require "lota"
local options = require "lota.options"
local report = require "lota.report"
local tasks = require "lota.tasks"

local args = lota.args {
  model = { "builtin", "a model folder, a GGUF file, a hub id, or `builtin`" },
  tasks = {
    default = { "skip", "nines", "mirror" },
    help = "the tasks: built-in families, name:path (gsm8k, arc, sql, jsonl, csv, parquet), or Lua files",
  },
  density = { 0.1, "fraction of the attention and MLP entries in each ticket", above = 0, most = 1 },
  steps = { 120, "optimizer steps after calibration", least = 1 },
  calibration_steps = { 40, "optimizer steps of calibration", least = 0 },
  lr = { type = "number", help = "learning rate (default: 6e-4 for the built-in model, 1e-5 for others)", above = 0 },
  chat = { false, "put prompts through the model's chat template, as a user's message" },
  batch = { 12, "examples a step", least = 1 },
  max_len = { 512, "tokens of an example at most", least = 2 },
  max_prompt = { 256, "tokens kept of a prompt whose example exceeds --max-len", least = 1 },
  weight = { 0.5, "what task vectors are multiplied by in task arithmetic" },
  ties_density = { 0.5, "fraction of a full task vector that TIES keeps", above = 0, most = 1 },
  lambda = { 1.0, "what TIES and magmax multiply the sum by" },
  seeds = { 3, "how many seeds", least = 1 },
  first_seed = { 1, "the first seed; the others follow it", least = 0 },
  eval = { 128, "test examples for each score (0: all)", least = 0 },
  out = { type = "string", help = "the run folder (default: the first free one of runs/merge-1, runs/merge-2, ...)" },
  resume = { false, "continue the run in --out" },
}

local built_in = args.model == "builtin"
local model = built_in and lota.model.builtin() or lota.model.load(args.model)
local lr = args.lr or (built_in and 6e-4 or 1e-5)
local base, fingerprint = model:snapshot(), model:fingerprint()
local count = args.eval > 0 and args.eval or nil
local wanted = {}
for i, name in ipairs(args.tasks) do
  wanted[i] = { "--tasks", name }
end
local opened = tasks.given(model, wanted, args.chat)

local config = options.with(args, { lr = lr, lota = lota.version, base = fingerprint })
config.out, config.resume = nil, nil
local run = report.start("merge", args.out, { config = config, resume = args.resume })

local function train(kind, task, seed)
  local o = { lr = lr, batch = args.batch, max_len = args.max_len, max_prompt = args.max_prompt, seed = seed }
  model:restore(base)
  if kind == "full" then
    o.steps = args.calibration_steps + args.steps
    adapt.fft(model, task, o)
    return model:snapshot()
  end
  o.steps, o.calibration_steps, o.density, o.base = args.steps, args.calibration_steps, args.density, fingerprint
  return adapt.lota(model, task, o).ticket
end

--- Scores `m` on all tasks and logs the record.
local function score(m, kind, arm, seed)
  local record = { kind = "result", of = kind, arm = arm, seed = seed }
  local sum = 0
  for i, task in ipairs(opened) do
    record["task_" .. i] = (task.score(m, count))
    sum = sum + record["task_" .. i]
  end
  record.mean = sum / #opened
  run:log(record)
end

--- The merges of one kind of parts.
local function merges(kind)
  local all = {
    { "task arithmetic", { method = "task_arithmetic", weight = args.weight } },
    {
      "ties",
      { method = "ties", weight = 1, density = kind == "full" and args.ties_density or 1, lambda = args.lambda },
    },
    { "magmax", { method = "magmax", lambda = args.lambda } },
  }
  if kind == "lota" then
    all[#all + 1] = { "disjoint", { method = "disjoint", overlap = "mean" } }
  end
  return all
end

local function measure(kind, seed, bar)
  local began = os.time()
  local parts, alone = {}, { kind = "result", of = kind, arm = "alone", seed = seed }
  for i, task in ipairs(opened) do
    parts[i] = train(kind, task, seed)
    if kind == "lota" then
      parts[i]:save(run:path(("tickets/seed-%d-%s.safetensors"):format(seed, task.name)))
      model:restore(base)
      local on = parts[i]:apply(model)
      alone["task_" .. i] = (task.score(model, count))
      on:unapply()
    else
      alone["task_" .. i] = (task.score(model, count))
    end
    bar.step(("seed %d %s: %s"):format(seed, kind, task.name))
  end
  local sum = 0
  for i in ipairs(opened) do
    sum = sum + alone["task_" .. i]
  end
  alone.mean = sum / #opened
  run:log(alone)
  model:restore(base)
  local rows = lota.merge.conflicts(parts, { base = model })
  local all = rows[#rows]
  run:log {
    kind = "conflicts",
    of = kind,
    seed = seed,
    changed = all.changed[1] / all.entries,
    shared = all.any > 0 and all.shared / all.any or 0,
    conflicts = all.shared > 0 and all.conflicts / all.shared or 0,
  }
  if seed == args.first_seed then
    local title = kind == "lota" and "LoTA tickets" or "Full fine-tunes"
    lota.merge.report(
      parts,
      { base = model, names = args.tasks, title = title, path = run:path("conflicts-" .. kind .. ".svg") }
    )
  end
  for _, entry in ipairs(merges(kind)) do
    local merged = lota.merge.models(parts, options.with(entry[2], { base = model }))
    score(merged, kind, entry[1], seed)
    bar.step(("seed %d %s: %s"):format(seed, kind, entry[1]))
  end
  run:log { kind = "time", of = kind, seed = seed, seconds = os.time() - began }
end

--- The records of the run, of each arm and seed the last: a run that was stopped amid a seed has logged some twice.
local function logged()
  local all, places = {}, {}
  for _, record in ipairs(run:records()) do
    local key = table.concat({ record.kind, record.of, record.arm or "", record.seed or "" }, "/")
    places[key] = places[key] or #all + 1
    all[places[key]] = record
  end
  return all
end

if #run:records() == 0 then
  score(model, "none", "no training", nil)
end
local kinds = { "lota", "full" }
local bar = report.progress("merge", args.seeds * (2 * #opened + #merges "lota" + #merges "full"))
local finished = logged()
for seed = args.first_seed, args.first_seed + args.seeds - 1 do
  for _, kind in ipairs(kinds) do
    local arms = merges(kind)
    if #report.where(finished, { kind = "result", of = kind, arm = arms[#arms][1], seed = seed }) == 0 then
      measure(kind, seed, bar)
    end
  end
end
bar.done()

local records, rows = logged(), {}
rows[1] = { "no training", report.where(records, { kind = "result", of = "none" }) }
for _, kind in ipairs(kinds) do
  local arms = { "alone" }
  for _, entry in ipairs(merges(kind)) do
    arms[#arms + 1] = entry[1]
  end
  for _, arm in ipairs(arms) do
    local title = (kind == "lota" and "LoTA tickets: " or "full fine-tunes: ") .. arm
    rows[#rows + 1] = { title, report.where(records, { kind = "result", of = kind, arm = arm }) }
  end
end
local columns = {}
for i, task in ipairs(opened) do
  columns[i] = { task.name, "task_" .. i }
end
columns[#columns + 1] = { "mean", "mean" }
local conflicts = {}
for _, kind in ipairs(kinds) do
  local title = kind == "lota" and "LoTA tickets" or "full fine-tunes"
  conflicts[#conflicts + 1] = { title, report.where(records, { kind = "conflicts", of = kind }) }
end
local text = report.table("arm", rows, columns)
local pulled = report.table("task vectors", conflicts, {
  { "entries changed by the first", "changed" },
  { "of all changed entries, changed by several", "shared" },
  { "of those, changed in opposite directions", "conflicts" },
})
local summary = report.fill(
  "Tickets of density {density}; {calibration_steps} + {steps} steps a task of {batch} examples, lr {lr}; weight {weight}"
    .. " in task arithmetic, density {ties_density} of full task vectors in TIES, lambda {lambda}; {over}.",
  options.with(config, {
    over = args.seeds == 1 and ("seed %d alone"):format(args.first_seed)
      or ("mean ± sd over %d seeds from %d"):format(args.seeds, args.first_seed),
  })
)
local pictures, seconds, results = {}, 0, report.where(records, { kind = "result" })
for _, kind in ipairs(kinds) do
  if #report.where(records, { kind = "conflicts", of = kind, seed = args.first_seed }) > 0 then
    local which = kind == "lota" and "LoTA tickets" or "full fine-tunes"
    local shows = ("What the %s of seed %d change in each layer."):format(which, args.first_seed)
    pictures[#pictures + 1] = { ("conflicts-%s.svg"):format(kind), "Conflicts of " .. which, shows }
  end
end
for _, value in ipairs(report.column(report.where(records, { kind = "time" }), "seconds")) do
  seconds = seconds + value
end
local each = { { "seed", "seed" }, { "of", "of" }, { "arm", "arm" } }
for _, column in ipairs(columns) do
  each[#each + 1] = { column[1], column[2], format = "%.3f" }
end
report.write(run, {
  title = "Merging tickets and full fine-tunes",
  summary = summary,
  table = text .. "\n\n" .. pulled,
  pictures = pictures,
  rows = report.rows(results, each),
  about = report.about(model, fingerprint, { { "time", report.duration(seconds) .. " for all seeds" } }),
})
print(
  summary .. "\n\n" .. text .. "\n\n" .. pulled .. "\n\nrun folder: " .. run:dir() .. " (report.md has the pictures)"
)
