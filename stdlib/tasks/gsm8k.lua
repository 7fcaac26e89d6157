--- GSM8K: grade-school word problems (arXiv 2110.14168), in the prompt form of arXiv 2406.16797's published code.
--
-- A folder with train.jsonl and test.jsonl, rows { question, answer }, where the answer ends in `#### number`. As
-- published, `####` alone is replaced, so that two spaces stand before the number of a target.
-- Score: the fraction of test answers whose number is right.

local dataset = require "lota.tasks.dataset"
local options = require "lota.options"
local scoring = require "lota.tasks.scoring"

local defaults = {
  max_tokens = { 256, "how long an answer may get", least = 1 },
  batch = { 8, "test rows that are answered at a time", least = 1 },
}

local instruction = "\nAnswer the above question. First think step by step and then answer the final number.\n"

local function row(item)
  return {
    prompt = item.question .. instruction,
    target = (item.answer:gsub("####", scoring.marker)),
  }
end

local function judge(output, target)
  local number = scoring.number(output)
  return number and number == scoring.number(target) and 1 or 0
end

return function(folder, given)
  return dataset.open(folder, options.read("tasks.open(gsm8k)", defaults, given), {
    name = "gsm8k",
    metric = "right number",
    fields = { "question", "answer" },
    row = row,
    judge = judge,
  })
end
