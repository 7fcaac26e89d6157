--- Tasks: training rows, test rows and a score, under one name.
--
--   local tasks = require "lota.tasks"
--   tasks.open "sort"                        a built-in family, generated: nothing to download
--   tasks.open "gsm8k:data/gsm8k"            a published data set in a folder
--   tasks.open "jsonl:data/mine"             rows of your own: `lota doc tasks.rows`
--   tasks.open "my_task.lua"                 a script of your own, which returns a task
--   tasks.open("sort", { seed = 1, train = 2000 })
--   tasks.names()                            what there is
--   tasks.chat(task)                         the same, its prompts as messages for the chat template
--   tasks.judge({ "sort", "nines" }, 64)     a function that scores models on several
--
-- A task is a table:
--   name        as it was opened, without the path
--   train, test lists of { prompt =, target = } or { messages = { { role =, content = }, … } }
--   max_tokens  how long an answer may get
--   metric      what the score counts
--   score       function(model, n) → number in [0, 1], outputs; over the first n test rows (all without n)
-- The methods in lota.adapt need `train` only.
--
-- A script of your own returns such a table, or a function of the options that does. Only `train` is needed; a `judge` takes the
-- place of a `score`:
--
--   local rows = require("lota").data.read "letters.csv"
--   return {
--     train = rows,
--     test = { { prompt = "Dear", target = "Sir" } },
--     judge = function(output, target)
--       return output:find(target, 1, true) and 1 or 0
--     end,
--   }

local dataset = require "lota.tasks.dataset"
local lota = require "lota"
local options = require "lota.options"
local rows = require "lota.tasks.rows"

local tasks = {}

--- name → function(path, options) → task, each from its own page.
local sets = {
  gsm8k = require "lota.tasks.gsm8k",
  arc = require("lota.tasks.arc").generate,
  ["arc-choice"] = require("lota.tasks.arc").choice,
  sql = require "lota.tasks.sql",
}
for format in pairs(rows.formats) do
  sets[format] = function(path, given)
    return rows.open(format, path, given)
  end
end

local words = require "lota.tasks.words"

--- Names of all tasks, sorted: first the built-in families, then the data sets.
function tasks.names()
  local built_in, from_files = {}, {}
  for name in pairs(words.families) do
    built_in[#built_in + 1] = name
  end
  for name in pairs(sets) do
    from_files[#from_files + 1] = name
  end
  table.sort(built_in)
  table.sort(from_files)
  return built_in, from_files
end

--- The task that a Lua file returns.
local function from_script(path, given)
  if not (io and io.open) then
    error(("tasks.open: `%s` cannot be read: this engine has no `io`"):format(path), 3)
  end
  local file, problem = io.open(path)
  if not file then
    error("tasks.open: " .. problem, 3)
  end
  local text = file:read "a"
  file:close()
  local chunk, wrong = load(text, "@" .. path, "t")
  if not chunk then
    error("tasks.open: " .. wrong, 3)
  end
  local task = chunk()
  if type(task) == "function" then
    task = task(given or {})
  elseif given and next(given) ~= nil then
    error(("tasks.open: `%s` returns a table and so takes no options; return a function of them"):format(path), 3)
  end
  if type(task) ~= "table" then
    error(("tasks.open: `%s` must return a task (`lota doc tasks`), got a %s"):format(path, type(task)), 3)
  end
  return rows.task(path, path:match "([^/]+)%.lua$", task)
end

--- How data that is there, but was given without its format, is to be written: a file by the end of its name, a folder by
--- the train file in it. nil for anything else.
local function with_format(spec)
  local ending = spec:match "%.(%w+)$"
  if ending and rows.formats[ending] then
    return ("%s is a file: write %s:%s"):format(spec, ending, spec)
  end
  for _, format in ipairs { "jsonl", "json", "csv", "tsv", "parquet" } do
    local file = io and io.open and io.open(("%s/train.%s"):format(spec, format))
    if file then
      file:close()
      return ("%s is a folder: write %s:%s"):format(spec, format, spec)
    end
  end
end

--- Opens `name`, `name:path` or `file.lua`.
function tasks.open(spec, given)
  if type(spec) ~= "string" then
    error(('tasks.open: expected the name of a task, as in tasks.open "skip", got a %s'):format(type(spec)), 2)
  end
  if spec:match "%.lua$" and not spec:find(":", 1, true) then
    return from_script(spec, given)
  end
  local name, path = spec:match "^([^:]+):(.+)$"
  name = name or spec
  if words.families[name] then
    if path then
      error(("tasks.open: `%s` is a built-in family and takes no path"):format(name), 2)
    end
    return words.open(name, given)
  end
  local open = sets[name]
  if not open then
    local written = with_format(spec)
    if written then
      error("tasks.open: " .. written, 2)
    end
    local all = options.with(sets, words.families)
    error(("tasks.open: no task is called `%s`%s (tasks.names() lists them)"):format(name, options.hint(name, all)), 2)
  end
  if not path then
    local what = rows.formats[name] and "its file or folder" or "its folder"
    error(("tasks.open: `%s` needs %s, as in `%s:data/%s`"):format(name, what, name, name), 2)
  end
  -- What is wrong with a file is told at the call of this function: the pages that read it would only be in the way.
  local ok, task = pcall(open, path, given)
  if not ok then
    error(task, 0)
  end
  return task
end

--- The task with its prompts as messages of a user, so that they go through the model's chat template. Rows that have
--- messages stay as they are.
function tasks.chat(task)
  if task.plain then
    error(("tasks.chat: the score of `%s` compares continuations of plain prompts"):format(task.name), 2)
  end
  local function conversations(list)
    local out = {}
    for i, row in ipairs(list) do
      out[i] = row.messages and row
        or {
          messages = { { role = "user", content = row.prompt }, { role = "assistant", content = row.target } },
          target = row.target,
        }
    end
    return out
  end
  -- The score reads the rows of the task that it was made for.
  task.train, task.test = conversations(task.train), conversations(task.test)
  return task
end

--- Checks tasks against the model. Messages are an error where it has no chat template; plain prompts where it has one
--- get a notice, which is printed once and returned.
function tasks.check(model, opened)
  local has_template, plain = model:info().chat_template, {}
  for _, task in ipairs(opened) do
    local bare = false
    for _, part in ipairs { "train", "test" } do
      for i, row in ipairs(task[part] or {}) do
        if row.messages and not has_template then
          local place = dataset.place(row) or ("the task `%s`: row %d of `%s`"):format(task.name, i, part)
          error(place .. " has messages, but the model has no chat template to write them by", 2)
        end
        bare = bare or not row.messages
      end
    end
    if bare and has_template then
      plain[#plain + 1] = task.name
    end
  end
  if #plain > 0 then
    local text = "note: the model has a chat template, but the prompts of %s do not go through it;"
      .. " tasks.chat (--chat of the main job) sends them through it"
    text = text:format(table.concat(plain, " and "))
    lota.print(text)
    return text
  end
end

--- Opens what options of a script name, for a model: `wanted` is a list of { option, name of the task }. With `chat`,
--- prompts go through the model's chat template. An error names the option, and is the user's, not the script's.
function tasks.given(model, wanted, chat)
  local info, opened, problem = model:info(), {}, nil
  if chat and not info.chat_template then
    problem = ("--chat needs a model with a chat template, and %s has none"):format(info.source)
  end
  for i, one in ipairs(wanted) do
    local ok, task = pcall(tasks.open, one[2])
    if not ok then
      problem = problem or ("%s: %s"):format(one[1], (tostring(task):gsub("^.*tasks%.open: ", "")))
    else
      opened[i] = chat and not problem and tasks.chat(task) or task
    end
  end
  if problem then
    lota.usage(problem)
  end
  tasks.check(model, opened)
  return opened
end

--- Makes a function that scores a model on several tasks. It returns { task = score }, over the first `count` test rows
--- of each (all without `count`); `lota.merge.config` takes it as `scores`.
function tasks.judge(specs, count)
  local opened = {}
  for i, spec in ipairs(specs) do
    -- Of a built-in family the rows to test with are drawn first, whatever comes after.
    opened[i] = tasks.open(spec, words.families[spec] and { train = 1 } or nil)
  end
  return function(model)
    local scores = {}
    for _, task in ipairs(opened) do
      scores[task.name] = (task.score(model, count))
    end
    return scores
  end
end

return options.strict("lota.tasks", tasks)
