--- GSM8K: grade-school word problems (arXiv 2110.14168), in the prompt form of arXiv 2406.16797's published code.
--
-- A folder with train.jsonl and test.jsonl, rows { question, answer }, where the answer ends in `#### number`.
-- Score: the fraction of test answers whose number is right.

local lota = require "lota"
local options = require "lota.options"
local scoring = require "lota.tasks.scoring"

local defaults = { max_tokens = 256, batch = 8 }

local instruction = "\nAnswer the above question. First think step by step and then answer the final number.\n"

local function row(item)
  return {
    prompt = item.question .. instruction,
    target = (item.answer:gsub("####", scoring.marker, 1)),
  }
end

local function rows(path)
  local out = {}
  for i, item in ipairs(lota.data.read(path)) do
    out[i] = row(item)
  end
  return out
end

return function(folder, given)
  local o = options.read("tasks.open(gsm8k)", options.with(defaults, { seed = 0 }), given)
  local task = {
    name = "gsm8k",
    metric = "right number",
    train = rows(folder .. "/train.jsonl"),
    test = rows(folder .. "/test.jsonl"),
    max_tokens = o.max_tokens,
  }
  task.score = scoring.by_generating(task, function(output, target)
    local number = scoring.number(output)
    return number and number == scoring.number(target) and 1 or 0
  end, { batch = o.batch })
  return task
end
