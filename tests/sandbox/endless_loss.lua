-- expect: limit instructions
-- A loss in Lua that does not end, inside a training step, caught and tried again.
local lota = require("lota")
local model = lota.model.init("tiny", { seed = 1 })
local examples = lota.data.examples(model, { { prompt = "1+1=", target = "2" } })
local batches = lota.data.batches(examples, { size = 1 })
local trainer = lota.train.new(model, {
  lr = 1e-3,
  loss = function()
    while true do
    end
  end,
})
while true do
  pcall(trainer.step, trainer, batches:next())
end
