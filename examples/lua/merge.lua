-- Two tickets of one base, merged into a ticket and into a model; and a merge method written in Lua.

local lota = require "lota"

local base = lota.model.init "tiny"
local before, fingerprint = base:snapshot(), base:fingerprint()
local name = "model.layers.0.mlp.up_proj.weight"
local function ticket(rows, factor)
  local mask = lota.mask.rows(base, { params = name, rows = rows })
  base:set_param(name, base:param(name):mul(factor))
  local made = lota.ticket.new(base, mask, { base = fingerprint, method = "example" })
  base:restore(before)
  return made
end
local a, b = ticket({ 1, 2 }, 2), ticket({ 2, 3 }, 3)

-- Where masks meet it must be said what becomes of the entries.
local both = lota.merge.tickets({ a, b }, { base = base, overlap = "mean" })
print(both:entries())

-- Tickets, models and task vectors mix.
local merged = lota.merge.models({ a, { model = b, weight = 0.5 } }, { method = "ties", base = base, weight = 1 })

-- A method is a function of the tensors of one parameter.
local middle = lota.merge.models({ a, b }, {
  base = base,
  method = function(tensors, info)
    local sum = info.base
    for _, tensor in ipairs(tensors) do
      sum = sum + (tensor - info.base) * info.strength
    end
    return sum
  end,
  strength = 0.5,
})
print(merged:fingerprint() ~= middle:fingerprint())
print(lota.merge.report({ a, b }, { base = base, merged = merged, names = { "a", "b" } }))
