-- LoTA in a dozen lines: teach the built-in model a task by changing a twentieth of its weights, keep the result as a
-- small file, and take it off again.
local adapt = require "lota.adapt"
local lota = require "lota"
local tasks = require "lota.tasks"

local args = lota.args({ tmp = { ".", "where the ticket is written" } })

local model, task = lota.model.builtin(), tasks.open "mirror"
print(("before: %.2f"):format((task.score(model, 32))))

local result = adapt.lota(model, task, {
  density = 0.05,
  calibration_steps = 20,
  steps = 60,
  batch = 12,
  lr = 1e-3,
  warmup = 10,
  max_len = 64,
})
print(("after:  %.2f, loss %.2f"):format((task.score(model, 32)), result.losses.adapt[#result.losses.adapt]))

local path = args.tmp .. "/mirror.ticket"
result.ticket:save(path)
print(("%d entries in %d bytes"):format(result.mask:count(), result.ticket:bytes()))

-- Someone else, with the same base model:
local other = lota.model.builtin()
local applied = lota.ticket.load(path):apply(other)
assert(other:fingerprint() == model:fingerprint())
applied:unapply()
assert(other:fingerprint() == lota.model.builtin():fingerprint())
