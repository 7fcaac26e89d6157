--- Trains the built-in model from scratch and writes it to assets/tiny.
--
-- What: a decoder of about 0.9 million parameters (Llama form, 4 layers of width 128) and a byte tokenizer, trained on
-- the built-in task families that are marked `pretrained` (stdlib/tasks/words.lua). The main job adapts the model
-- to the other families.
--
-- The same lota, seed and kind of processor give the same bytes, whatever the number of threads. A change in how a kernel
-- rounds gives other bytes: 2500 steps amplify the last bit of a sum. The model in assets/tiny is what this script writes
-- with AVX-512.
--
-- Source: none; no weights and no data from elsewhere.
--
-- How to run: lota run scripts/pretrain_tiny.lua [--out assets/tiny]: two minutes of CPU time.

local lota = require "lota"
local report = require "lota.report"
local words = require "lota.tasks.words"

local args = lota.args({
  out = { "assets/tiny", "the folder to write the model to" },
  run = {
    type = "string",
    help = "the run folder (default: the first free one of runs/pretrain-1, runs/pretrain-2, …)",
  },
  steps = { 2500, "optimizer steps", least = 1 },
  batch = { 32, "examples a step", least = 1 },
  lr = { 2e-3, "highest learning rate", above = 0 },
  seed = { 1, "initial weights and data", least = 0 },
  rows = { 8192, "training rows of each family", least = 1 },
})

local config = {
  architectures = { "LlamaForCausalLM" },
  model_type = "llama",
  hidden_size = 128,
  intermediate_size = 384,
  num_hidden_layers = 4,
  num_attention_heads = 4,
  num_key_value_heads = 4,
  head_dim = 32,
  hidden_act = "silu",
  max_position_embeddings = 512,
  rms_norm_eps = 1e-6,
  rope_theta = 10000.0,
  tie_word_embeddings = true,
  attention_bias = false,
  mlp_bias = false,
  initializer_range = 0.03,
}

local names = {}
for name, family in pairs(words.families) do
  if family[1] then
    names[#names + 1] = name
  end
end
table.sort(names)

local mixture, families = { train = {} }, {}
for i, name in ipairs(names) do
  families[i] = words.open(name, { seed = args.seed, train = args.rows, test = 128 })
  table.move(families[i].train, 1, args.rows, #mixture.train + 1, mixture.train)
end

local run = report.start("pretrain", args.run, { config = args })
local bytes = lota.tokenizer.train({}, { vocab = 257, eos = "<eos>" })
config.vocab_size, config.eos_token_id = bytes:size(), bytes:special().eos.id
local model = lota.model.init(config, { seed = args.seed, tokenizer = bytes })

local examples = lota.data.examples(model, mixture.train, { max_len = 64, max_prompt = 32, eos = true })
local batches = lota.data.batches(examples, { size = args.batch, order = "shuffle", seed = args.seed })
local trainer = lota.train.new(model, {
  params = "all",
  optimizer = "adamw",
  betas = { 0.9, 0.98 },
  weight_decay = 0.05,
  lr = args.lr,
  schedule = "cosine",
  warmup = args.steps // 20,
  steps = args.steps,
  clip_norm = 1.0,
})
local bar = lota.progress("pretrain", args.steps)
trainer:fit(batches, {
  steps = args.steps,
  on_step = function(info)
    run:log({ step = info.step, loss = info.loss, lr = info.lr })
    bar:update(info.step, ("loss %.3f"):format(info.loss))
  end,
})
bar:done()
trainer:close()

model:save(args.out, { dtype = "f16" })
local saved = lota.model.load(args.out)
local rows = {}
for i, task in ipairs(families) do
  local score = task.score(saved)
  rows[i] = { names[i], ("%.3f"):format(score) }
  run:log({ family = names[i], score = score })
end
local text = lota.markdown({ "family", "right words of 128" }, rows)
run:write("report.md", "# The built-in model\n\n" .. text .. "\n")
print(text)
print(("%d entries, written to %s; run folder: %s"):format(saved:entries(), args.out, run:dir()))
