-- What lota.tasks gives for the same names, files and seeds; its twin in Rhai must return the same text.
local lota = require "lota"
local scoring = require "lota.tasks.scoring"
local tasks = require "lota.tasks"

local out = {}
local families, sets = tasks.names()
out.names = { families, sets }
out.families = {}
for i, name in ipairs(families) do
  local task = tasks.open(name, { train = 5, test = 3, seed = 2 })
  out.families[i] = { task.name, task.metric, task.max_tokens, task.train, task.test }
end

out.numbers, out.words = {}, {}
local texts = {
  "so 3 + 4. The final answer is:  1,234 apples, not 9",
  "first 3, then 7",
  "5 or 6. The final answer is: unknown",
  "none",
  "The final answer is: -2.5",
  "The final answer is:  $1,250.50.",
  "The final answer is: 72.",
  "The final answer is: 3\nThe final answer is: 4",
  "The final answer is:5, or was it 6",
  "1.2.3 --4 5- 007",
  "",
}
for i, text in ipairs(texts) do
  out.numbers[i] = scoring.number(text) or false
  out.words[i] = { scoring.word_f1(text, texts[1]), scoring.word_f1("the FINAL answer, the", text), scoring.trim(text) }
end

local run = lota.run.start(os.tmpname() .. ".run")
local function jsonl(name, list)
  for i, row in ipairs(list) do
    list[i] = lota.json.encode(row)
  end
  run:write(name, table.concat(list, "\n") .. "\n")
end
local function rows(count)
  local list = {}
  for i = 1, count do
    list[i] = { prompt = i .. "=", target = tostring(i + 1), note = "more" }
  end
  return list
end
jsonl("mine.jsonl", rows(40))
jsonl("both/train.jsonl", rows(5))
jsonl("both/test.jsonl", rows(2))
for _, part in ipairs { "train", "test" } do
  jsonl(
    "gsm8k/" .. part .. ".jsonl",
    { { question = "1+1?", answer = "It is 2.\n#### 2" }, { question = "x", answer = "#### #### 3" } }
  )
  local choices = { label = { "A", "B" }, text = { "wet", "dry, not wet" } }
  jsonl("arc/" .. part .. ".jsonl", { { question = "Which?", choices = choices, answerKey = "B" } })
end
local queries = {}
for i = 1, 5 do
  queries[i] =
    { question = "How many " .. i, context = "CREATE TABLE t (a INT)", answer = "SELECT  COUNT(*) FROM t" .. i }
end
run:write("sql/all.json", lota.json.encode(queries))
local function opened(spec, given)
  local task = tasks.open(spec:gsub(":", ":" .. run:dir() .. "/"), given)
  return { task.name, task.metric, task.max_tokens, task.train, task.test }
end
out.files = {
  opened "jsonl:mine.jsonl",
  opened("jsonl:mine.jsonl", { seed = 1, held_out = 7 }),
  opened "jsonl:both",
  opened "gsm8k:gsm8k",
  opened "arc:arc",
  opened "arc-choice:arc",
  opened("sql:sql", { held_out = 2, exact = true }),
}

local model = lota.model.builtin()
local function scored(task, n)
  local score, outputs = task.score(model, n)
  return { score, outputs }
end
out.scores = {
  scored(tasks.open("copy", { train = 1, test = 9 })),
  scored(tasks.open("sort", { train = 1, test = 9 }), 4),
  scored(tasks.open("gsm8k:" .. run:dir() .. "/gsm8k", { max_tokens = 3 })),
  scored(tasks.open("arc:" .. run:dir() .. "/arc", { max_tokens = 3 })),
  scored(tasks.open("arc-choice:" .. run:dir() .. "/arc")),
  scored(tasks.open("sql:" .. run:dir() .. "/sql", { max_tokens = 3, held_out = 2 })),
}
out.judged = tasks.judge({ "copy", "nines" }, 5)(model)
out.chat = tasks.chat(tasks.open("sort", { train = 2, test = 1 })).train
return lota.json.encode(out)
