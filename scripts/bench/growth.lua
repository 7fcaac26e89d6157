--- How the time and the memory of a training step grow: with tokens, density, depth, width and threads.
--
-- What: `lota bench step` on a part of SmolLM2-135M (its width, a third of its layers, random weights), one thing changed
-- at a time, in f32 and in bf16 (weights and products). Each figure is from a process of its own; the seconds are the
-- least of its timed steps. Writes them to growth.json, and has growth_model.lua fit models to them and draw them.
--
-- Source: none.
--
-- How to run: lota run scripts/bench/growth.lua [--quick] [--out docs], where `lota` is on the path or given by --program.
-- Six minutes on two idle cores, a minute with --quick.
--
-- Measured: docs/performance.md.

local lota = require "lota"

local args = lota.args({
  out = { "docs", "the folder to write to" },
  program = { "lota", "the program that is measured" },
  under = { "", "a command to run each measurement under, such as `nice -n -5`" },
  quick = { false, "fewer points" },
})

--- The density from which a gradient is one dense product (runtime/kernels/src/sampled.rs), which the model must know.
local sampled_below = 0.36

--- SmolLM2 of another width and depth: its proportions, and heads of 64.
local function shape(hidden, layers)
  local heads = hidden // 64
  return {
    model_type = "llama",
    hidden_size = hidden,
    intermediate_size = hidden * 8 // 3,
    num_hidden_layers = layers,
    num_attention_heads = heads,
    num_key_value_heads = heads // 3,
    head_dim = 64,
    hidden_act = "silu",
    max_position_embeddings = 8192,
    rms_norm_eps = 1e-5,
    rope_theta = 100000.0,
    tie_word_embeddings = true,
    vocab_size = 49152,
  }
end

--- One measurement: `what` says which axis it belongs to, and overrides the base.
local function measure(what)
  local p =
    { hidden = 576, layers = 10, sequences = 4, tokens = 256, density = "0.01", threads = 2, checkpoint = "none" }
  for name, value in pairs(what) do
    p[name] = value
  end
  p.sampled_below = sampled_below
  p.config = shape(p.hidden, p.layers)
  local path = os.tmpname() .. ".json"
  local file = assert(io.open(path, "w"))
  file:write(lota.json.encode(p.config))
  file:close()
  local steps = p.sequences * p.tokens > 1024 and 1 or 2
  local command = ("%s %s bench step %s --steps %d --json"):format(args.under, args.program, path, steps)
  for _, name in ipairs { "sequences", "tokens", "density", "threads", "checkpoint" } do
    command = ("%s --%s %s"):format(command, name, p[name])
  end
  command = ("%s --dtype %s --compute %s"):format(command, p.mode, p.mode)
  local pipe = assert(io.popen(command))
  local text = pipe:read "a"
  local ok = pipe:close()
  os.remove(path)
  assert(ok, "this failed: " .. command)
  local found = lota.json.decode(text)
  p.entries, p.seconds, p.peak_mib = found.entries, found.seconds_least, found.peak_mib
  lota.print(("%s %s: %.3f s, %d MiB"):format(p.axis, p.mode, p.seconds, p.peak_mib))
  return p
end

local path = args.out .. "/growth.json"
assert(io.open(path, "a"), "the folder that --out names must be there"):close() -- before minutes are spent
local few, lines = args.quick, {}
for _, mode in ipairs { "f32", "bf16" } do
  local function over(axis, field, values, more)
    for _, value in ipairs(values) do
      local what = { axis = axis, mode = mode, [field] = value }
      for name, v in pairs(more or {}) do
        what[name] = v
      end
      lines[#lines + 1] = lota.json.encode(measure(what))
    end
  end
  over("one", "tokens", few and { 128, 512, 1024 } or { 128, 256, 512, 1024, 2048, 4096 }, { sequences = 1 })
  over("packed", "sequences", few and { 2 } or { 2, 8, 16 })
  local densities = { "0.001", "0.01", "0.05", "0.1", "0.2", "0.3", "0.5", "1", "full" }
  over("density", "density", few and { "0.01", "0.2", "1", "full" } or densities)
  over("depth", "layers", few and { 5 } or { 5, 20, 30 })
  over("width", "hidden", few and { 192 } or { 192, 384, 1152 })
  over("threads", "threads", { 1 })
  local long = few and { 1024 } or { 512, 1024, 2048, 4096 }
  over("recompute", "tokens", long, { sequences = 1, checkpoint = "block" })
end

local file = assert(io.open(path, "w"))
file:write("[\n", table.concat(lines, ",\n"), "\n]\n")
file:close()
local here = lota.script().path:match "^.*[/\\]" or ""
local fit = ('%s run "%sgrowth_model.lua" --figures "%s" --out "%s"'):format(args.program, here, path, args.out)
assert(os.execute(fit), "this failed: " .. fit)
