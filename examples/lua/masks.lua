-- Masks are sets of weight entries: made from scores, patterns or chance, and combined like sets.
local lota = require "lota"
local scores = require "lota.scores"

local model = lota.model.builtin()
local largest = lota.mask.from_scores(scores.weight(model), { density = 0.1 })
local random = lota.mask.random(model, { density = 0.1, seed = 1 })
local mlp = lota.mask.match(model, { "model.layers.*.mlp.*" })

print("largest 10 %: ", largest:count(), "entries")
print("by chance:    ", ("Jaccard index %.3f with it"):format(largest:jaccard(random)))
print("in the MLPs:  ", #(largest & mlp))

-- The operators have names too.
local both = largest & random
assert(both:equals(lota.mask.intersect(largest, random)))
assert(both <= largest and (largest - random):disjoint(random))
assert(#(largest | random) == #largest + #random - #both)
assert(lota.mask.complement(mlp):disjoint(mlp))

for _, row in ipairs(largest:counts "layer") do
  print("layer " .. row.group, row.selected, ("%.3f"):format(row.density))
end
