--- SQL from questions (the `sql-create-context` data set), in the prompt form of arXiv 2406.16797's published code.
--
-- A folder with all.json, rows { question, context, answer }. There is no published split in it: the last `held_out`
-- rows are the test set. Score: overlap of words between the generated and the right query as an F1 measure (ROUGE-1 as
-- in the paper, without its stemmer); `exact = true` asks for the same query instead, letter case and spacing aside.

local dataset = require "lota.tasks.dataset"
local options = require "lota.options"
local scoring = require "lota.tasks.scoring"

local defaults = {
  max_tokens = { 96, "how long an answer may get", least = 1 },
  batch = { 16, "test rows that are answered at a time", least = 1 },
  held_out = { 1000, "rows at the end of the data that are kept for testing", least = 1 },
  exact = { false, "ask for the same query, letter case and spacing aside, not for the overlap of words" },
}

local instruction = "Answer the below question. First think step by step and then give the final answer.\n"
  .. "Please convert the provided natural language query into an SQL query, taking into account the structure of the"
  .. " database defined by the accompanying CREATE statement:\n"

local function row(item)
  return {
    prompt = instruction
      .. "## Context:\n"
      .. item.context
      .. "\n## Natural Language Query:\n"
      .. item.question
      .. "\n",
    target = scoring.marker .. item.answer,
  }
end

local function query(text)
  local answer, plain = scoring.after_marker(text)
  return scoring.trim(answer or plain)
end

local function plain(text)
  return (text:lower():gsub("%s+", " "))
end

return function(folder, given)
  local o = options.read("tasks.open(sql)", defaults, given)
  local task = {
    name = "sql",
    metric = o.exact and "same query" or "word F1",
    train = {},
    test = {},
    max_tokens = o.max_tokens,
  }
  local rows = dataset.rows(folder .. "/all.json", { "question", "context", "answer" }, row)
  local first = math.max(#rows - o.held_out, 0)
  table.move(rows, 1, first, 1, task.train)
  table.move(rows, first + 1, #rows, 1, task.test)
  task.score = scoring.by_generating(task, function(output, target)
    if o.exact then
      return plain(query(output)) == plain(query(target)) and 1 or 0
    end
    return scoring.word_f1(query(output), query(target))
  end, { batch = o.batch })
  return task
end
