-- help prints the page of a primitive, a type, an area or a name, and refuses what has none.
local lota = require "lota"
local test = require "lota.test"

for _, about in ipairs { lota.rng, lota.rng(1), lota.json, "mask.union", "adapt.lota", lota } do
  lota.help(about)
end
lota.help()

-- Every function that a module gives has a page, those of other modules that it passes on too.
local function walk(name, module)
  for key, value in pairs(module) do
    if type(key) == "string" and type(value) == "function" then
      lota.help(name .. "." .. key)
    elseif type(key) == "string" and type(value) == "table" and not value.defaults then
      walk(name .. "." .. key, value)
    end
  end
end
for _, name in ipairs { "adapt", "cl", "merge", "options", "report", "scores", "sweep", "tasks", "test" } do
  local module = require("lota." .. name)
  if type(module) == "table" then
    walk(name, module)
  end
end

test.raises(function()
  lota.help "mask.unoin"
end, "help: nothing is called 'mask.unoin'; did you mean 'mask.union'?")
test.raises(function()
  lota.help(3)
end, "is integer 3, which has no page")
test.raises(function()
  lota.help(print)
end, "is function, which has no page")
