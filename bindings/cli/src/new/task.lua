--- The task of STUDY.lua: plurals of English nouns. Replace it by your own.
--
-- A task is a table with a name, rows to train on, other rows to test with, and a function that scores a model on them. A
-- row is { prompt =, target = }: a text, and the answer that is to follow it. `lota.data.read "train.jsonl"` reads rows
-- from a file.

local scoring = require "lota.tasks.scoring"

--- Rows from lines of a noun and its plural.
local function rows(text)
  local out = {}
  for noun, plural in text:gmatch "(%a+) (%a+)" do
    out[#out + 1] = { prompt = "plural " .. noun .. "=", target = plural }
  end
  return out
end

local task = {
  name = "STUDY",
  metric = "right word", -- what a score of 1 means
  max_tokens = 16, -- how long an answer may get
}

task.train = rows [[
  cat cats      dog dogs      tree trees    house houses    road roads        lamp lamps      book books
  window windows  river rivers  garden gardens  finger fingers  box boxes     fox foxes       bus buses
  glass glasses   dish dishes   wish wishes     church churches match matches city cities     baby babies
  lady ladies     story stories party parties   berry berries   country countries             fly flies
  boy boys        day days      key keys        toy toys        monkey monkeys
]]

task.test = rows [[
  car cars      stone stones  letter letters  table tables   paper papers   class classes  tax taxes  brush brushes
  watch watches copy copies   army armies     cherry cherries duty duties   way ways       ray rays   donkey donkeys
]]

--- The fraction of test rows whose answer is right, each answer written by the model itself.
task.score = scoring.by_generating(task, function(answer, target)
  return answer == target and 1 or 0
end)

return task
