--- ARC-Challenge: science questions with choices (arXiv 1803.05457), in the prompt form of arXiv 2406.16797's published code.
--
-- A folder with train.jsonl and test.jsonl, rows { question, choices = { text, label }, answerKey }.
-- Opened as `arc`, the score is the published one: generate, and compare the first letter after the marker (an answer
-- without the marker is judged by its own first letter). Opened as `arc-choice`, the score is the fraction of questions
-- where the right choice's text is the likeliest of the choices, which says something about an untrained model too.

local lota = require "lota"
local options = require "lota.options"
local scoring = require "lota.tasks.scoring"

local defaults = { max_tokens = 48, batch = 16, seed = 0, normalize = "token" }

local instruction = "Answer the following #Question given the possible #Choices which are separated by commas."
  .. " First think step by step and then give the final answer.\n"

local function row(item)
  local texts, labels = item.choices.text, item.choices.label
  local listed, choices, answer = {}, {}, nil
  for i, label in ipairs(labels) do
    listed[i] = label .. ": " .. texts[i]
    choices[i] = scoring.marker .. listed[i]
    if label == item.answerKey then
      answer = i
    end
  end
  return {
    prompt = instruction .. "#Question: " .. item.question .. "\nChoices: " .. table.concat(listed, ", "),
    target = choices[answer],
    choices = choices,
    answer = answer,
  }
end

local function rows(path)
  local out = {}
  for i, item in ipairs(lota.data.read(path)) do
    out[i] = row(item)
  end
  return out
end

local function generate(folder, given)
  local o = options.read("tasks.open(arc)", defaults, given)
  local task = {
    name = "arc",
    metric = "right letter",
    train = rows(folder .. "/train.jsonl"),
    test = rows(folder .. "/test.jsonl"),
    max_tokens = o.max_tokens,
  }
  local function letter(text)
    local answer, plain = scoring.after_marker(text)
    return scoring.trim(answer or plain):sub(1, 1)
  end
  task.score = scoring.by_generating(task, function(output, target)
    return letter(output) == letter(target) and 1 or 0
  end, { batch = o.batch })
  return task, o
end

local function choice(folder, given)
  local task, o = generate(folder, given)
  task.name = "arc-choice"
  task.metric = "likeliest choice"
  task.score = function(model, n)
    local result = lota.eval.choice(model, scoring.first(task.test, n), { normalize = o.normalize })
    return result.accuracy, result.predictions
  end
  return task
end

return { generate = generate, choice = choice }
