-- expect: limit deep
-- Script and engine call each other until the stack of the machine would be used up.
local lota = require("lota")
local model = lota.model.init("tiny", { seed = 1 })
local function again()
  return lota.values.new(model, again)
end
again()
