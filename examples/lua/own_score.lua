-- A variant of LoTA without touching the engine: another score, another budget. Here entries are ranked by how far
-- calibration moved them relative to their size, and every layer gets the same share.
local adapt = require "lota.adapt"
local lota = require "lota"
local tasks = require "lota.tasks"

local model, task = lota.model.builtin(), tasks.open "nines"

local result = adapt.lota(model, task, {
  density = 0.05,
  calibration_steps = 10,
  steps = 20,
  lr = 1e-3,
  max_len = 64,
  scope = "layer",
  score = function(m, before)
    return m:delta(before, { params = "adaptable" }):map(function(name, moved)
      return moved:abs():div(m:param(name):abs():add(1e-3))
    end)
  end,
})

for _, row in ipairs(result.mask:counts "layer") do
  print("layer " .. row.group, row.selected)
end
print(("loss %.3f → %.3f"):format(result.losses.adapt[1], result.losses.adapt[#result.losses.adapt]))
