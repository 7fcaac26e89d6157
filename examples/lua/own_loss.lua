-- A loss written in Lua over the log-probabilities of the labelled tokens: here focal loss, which gives less weight to
-- tokens that are already likely (arXiv 1708.02002). The engine differentiates it.
local lota = require "lota"
local tasks = require "lota.tasks"

local model, task = lota.model.builtin(), tasks.open "nines"
local examples = lota.data.examples(model, task.train, { max_len = 64, max_prompt = 32 })
local batches = lota.data.batches(examples, { size = 8, order = "shuffle", seed = 1 })

local trainer = lota.train.new(model, {
  mask = lota.mask.random(model, { density = 0.1, seed = 1 }),
  optimizer = "adamw",
  lr = 1e-3,
  steps = 10,
  loss = function(logp)
    local unlikely = lota.ones(logp:shape()):sub(logp:exp())
    return logp:mul(unlikely:square()):mean():neg()
  end,
})
for step = 1, 10 do
  local info = trainer:step(batches:next())
  print(step, ("%.3f"):format(info.loss))
end
trainer:close()
