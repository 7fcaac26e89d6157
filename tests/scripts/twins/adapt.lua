-- What the methods of lota.adapt that tests/it/rhai.rs does not compare give; its twin in Rhai must return the same text.
local adapt = require "lota.adapt"
local lota = require "lota"

local function task(first)
  local rows = {}
  for i = 1, 12 do
    rows[i] = { prompt = (first + i) .. "+1=", target = tostring(first + i + 1) }
  end
  return { name = "sums", train = rows }
end
local out = {}
for i, given in ipairs {
  { steps = 3, lr = 1e-3 },
  { steps = 2, lr = 1e-3, rank = 2, alpha = 8, rslora = true, dropout = 0.1, init = "gaussian", seed = 3 },
  { steps = 2, lr = 1e-3, count = 5000 },
  { steps = 2, lr = 1e-3, density = 0.2 },
} do
  local model = lota.model.init("tiny", { seed = i })
  local got = adapt.lora(model, task(i), given)
  out[i] = { got.rank, got.count, got.losses, model:fingerprint(), #got.adapter:modules() }
end
local dry = adapt.lora(lota.model.init "tiny", task(0), { count = 3000, dry_run = true })
out[5] = { dry.rank, dry.count, dry.steps }
local model = lota.model.init("tiny", { seed = 1 })
local replayed =
  adapt.replay(model, task(0), { earlier = { task(20), task(40) }, fraction = 0.4, steps = 3, lr = 1e-3 })
out[6] = { replayed.replayed, replayed.losses, model:fingerprint() }
local own = lota.model.init("tiny", { seed = 2 })
local doubled = adapt.lota(own, task(3), {
  steps = 2,
  calibration_steps = 1,
  lr = 1e-3,
  loss = function(logp)
    return logp:mean():neg():mul(2)
  end,
})
out[7] = { doubled.losses, own:fingerprint() }
return lota.json.encode(out)
