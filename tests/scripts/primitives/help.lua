-- help prints the page of a primitive, a type, an area or a name, and refuses what has none.
local lota = require "lota"
local test = require "lota.test"

for _, about in ipairs { lota.rng, lota.rng(1), lota.json, "mask.union", "adapt.lota", lota } do
  lota.help(about)
end
lota.help()

test.raises(function()
  lota.help "mask.unoin"
end, "help: nothing is called 'mask.unoin'; did you mean 'mask.union'?")
test.raises(function()
  lota.help(3)
end, "is integer 3, which has no page")
test.raises(function()
  lota.help(print)
end, "is function, which has no page")
