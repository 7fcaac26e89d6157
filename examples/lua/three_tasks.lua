-- LoTTO over any number of tasks: each is learnt outside the entries of those before it, so their tickets can be put on
-- one base in any combination.
local adapt = require "lota.adapt"
local lota = require "lota"
local tasks = require "lota.tasks"

local model = lota.model.builtin()
local list = { tasks.open "mirror", tasks.open "nines", tasks.open "atbash" }

local result = adapt.lotto(model, list, {
  density = 0.05,
  calibration_steps = 5,
  steps = 10,
  lr = 1e-3,
  max_len = 64,
  after = function(index, stage)
    print(list[index].name, stage.mask:count(), ("loss %.2f"):format(stage.losses.adapt[#stage.losses.adapt]))
  end,
})
print(("capacity left: %.3f"):format(result.capacity))

-- The first and the third ticket without the second.
local base = lota.model.builtin()
local one = result.stages[1].ticket:apply(base)
local three = result.stages[3].ticket:apply(base)
one:unapply()
three:unapply()
assert(base:fingerprint() == lota.model.builtin():fingerprint())
