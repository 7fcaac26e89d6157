-- expect: limit instructions
-- A scorer that does not end, called by a primitive.
local lota = require("lota")
local model = lota.model.init("tiny", { seed = 1 })
lota.values.new(model, function()
  while true do
  end
end)
