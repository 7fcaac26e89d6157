--- ARC-Challenge: science questions with choices (arXiv 1803.05457), in the prompt form of arXiv 2406.16797's published code.
--
-- A folder with train.jsonl and test.jsonl, rows { question, choices = { text, label }, answerKey }.
-- Opened as `arc`, the score is the published one: generate, and compare the first letter after the marker (an answer
-- without the marker is judged by its own first letter). Opened as `arc-choice`, the score is the fraction of questions
-- where the right choice's text is the likeliest of the choices, which says something about an untrained model too.

local dataset = require "lota.tasks.dataset"
local lota = require "lota"
local options = require "lota.options"
local scoring = require "lota.tasks.scoring"

local arc = {}

local instruction = "Answer the following #Question given the possible #Choices which are separated by commas."
  .. " First think step by step and then give the final answer.\n"

local function row(item)
  local listed, choices, answer = {}, {}, nil
  for i, label in ipairs(item.choices.label) do
    listed[i] = label .. ": " .. item.choices.text[i]
    choices[i] = scoring.marker .. listed[i]
    if label == item.answerKey then
      answer = i
    end
  end
  if not answer then
    error(("no choice has the label `%s` of its answerKey"):format(item.answerKey), 0)
  end
  return {
    prompt = instruction .. "#Question: " .. item.question .. "\nChoices: " .. table.concat(listed, ", "),
    target = choices[answer],
    choices = choices,
    answer = answer,
  }
end

local function letter(text)
  local answer, plain = scoring.after_marker(text)
  return scoring.trim(answer or plain):sub(1, 1)
end

local function open(folder, o)
  return dataset.open(folder, o, {
    name = "arc",
    metric = "right letter",
    fields = { "question", "choices", "answerKey" },
    row = row,
    judge = function(output, target)
      return letter(output) == letter(target) and 1 or 0
    end,
  })
end

--- Scored by what is generated.
function arc.generate(folder, given)
  return open(folder, options.read("tasks.open(arc)", { max_tokens = 48, batch = 16 }, given))
end

--- Scored by which choice is likeliest; `normalize` is that of lota.eval.choice.
function arc.choice(folder, given)
  local o = options.read("tasks.open(arc-choice)", { max_tokens = 48, batch = 16, normalize = "token" }, given)
  local task = open(folder, o)
  task.name, task.metric, task.plain = "arc-choice", "likeliest choice", true
  task.score = function(model, n)
    local result = lota.eval.choice(model, scoring.first(task.test, n), { normalize = o.normalize })
    return result.accuracy, result.predictions
  end
  return task
end

return arc
