--- Tasks of your own data: JSON lines, JSON, CSV, TSV or Parquet.
--
--   tasks.open "jsonl:data/mine"              a folder with train.jsonl and test.jsonl
--   tasks.open "jsonl:data/mine.jsonl"        one file: a tenth of its rows, drawn by a seed, is the test set
--   tasks.open("csv:mine.csv", { held_out = 200, seed = 1 })
--
-- A row is { prompt, target }, two texts, or { messages = a list of { role, content } } whose last message is the
-- assistant's (no CSV). Messages go through the model's chat template, and the last one is what the model learns. Other
-- fields are ignored.
--
-- Score: the fraction of test rows whose generated answer is the target, white space at either end aside. A task that
-- needs another score is a Lua file: `lota doc tasks`.

local dataset = require "lota.tasks.dataset"
local lota = require "lota"
local options = require "lota.options"
local scoring = require "lota.tasks.scoring"

local rows = {}

--- The kinds of files, which are also the ends of their names.
rows.formats = { jsonl = true, json = true, csv = true, tsv = true, parquet = true }

local defaults = {
  max_tokens = { 128, "how long an answer may get", least = 1 },
  batch = { 16, "test rows that are answered at a time", least = 1 },
  held_out = { nil, "test rows of a single file (default: a tenth, 1000 at most)", type = "integer", least = 1 },
  seed = { 0, "which rows of a single file are held out" },
}

local function check_message(message, i)
  if type(message) ~= "table" or type(message.role) ~= "string" or message.content == nil then
    error(("message %d is not { role =, content = }"):format(i), 0)
  end
end

--- The row as training and scoring take it; an error says what is wrong with it.
function rows.check(item)
  if item.messages ~= nil then
    local list = item.messages
    if type(list) ~= "table" or #list == 0 then
      error("`messages` must be a list of { role =, content = }, and not an empty one", 0)
    end
    for i, message in ipairs(list) do
      check_message(message, i)
    end
    local last = list[#list]
    if last.role ~= "assistant" or type(last.content) ~= "string" then
      error(
        ("the last message must be a text of the assistant's, since it is learnt; its role is `%s`"):format(last.role),
        0
      )
    end
    return { messages = list }
  end
  for _, field in ipairs { "prompt", "target" } do
    if item[field] == nil then
      error(("it has no `%s`; a row is prompt and target, or messages"):format(field), 0)
    elseif type(item[field]) ~= "string" then
      error(("`%s` must be a text, got a %s"):format(field, type(item[field])), 0)
    end
  end
  if item.target == "" then
    error("`target` is empty, so there is nothing to learn", 0)
  end
  return { prompt = item.prompt, target = item.target }
end

local function read(path)
  local found = dataset.rows(path, {}, rows.check)
  if #found == 0 then
    error(path .. ": there are no rows", 0)
  end
  return found
end

--- The test rows of a folder.
local function read_test(folder, ending)
  local path = folder .. "/test" .. ending
  local file = io and io.open and io.open(path)
  if io and io.open and not file then
    local text = "%s is not there: add it, or give %s/train%s as one file, of which a tenth is held out"
    error(text:format(path, folder, ending), 0)
  end
  if file then
    file:close()
  end
  return read(path)
end

--- Rows of one file, in an order drawn by the seed, cut into those to train on and those to test on.
local function split(path, all, o)
  local held_out = o.held_out or math.min(math.max(#all // 10, 1), 1000)
  if held_out >= #all then
    error(
      ("%s: %d of its %d rows cannot be held out; at least one must be left to train on"):format(path, held_out, #all),
      0
    )
  end
  -- Places are drawn, not rows: the rows stay those that dataset.place knows.
  local order, train, test = {}, {}, {}
  for i = 1, #all do
    order[i] = i
  end
  for i, at in ipairs(lota.rng(o.seed):shuffle(order)) do
    local list = i <= held_out and test or train
    list[#list + 1] = all[at]
  end
  return train, test
end

--- Completes a task and checks its rows. `given` has train and test, lists of rows; it may have name, max_tokens, batch,
--- stop, metric, and either score or judge(output, target) → number in [0, 1].
function rows.task(where, name, given)
  local known = {
    name = name,
    train = options.optional,
    test = options.optional,
    max_tokens = defaults.max_tokens,
    batch = defaults.batch,
    stop = options.optional,
    metric = options.optional,
    judge = options.optional,
    score = options.optional,
  }
  local task = options.read(where, known, given)
  if type(task.train) ~= "table" or #task.train == 0 then
    error(where .. ": `train` must be a list of { prompt =, target = } or { messages = }, and not an empty one", 0)
  end
  task.test = task.test or {}
  for _, part in ipairs { "train", "test" } do
    for i, row in ipairs(task[part]) do
      local ok, problem = pcall(rows.check, row)
      if not ok then
        error(("%s: row %d of `%s`: %s"):format(where, i, part, problem), 0)
      end
    end
  end
  task.metric = task.metric or (task.judge or task.score) and "score" or "same text"
  local judge = task.judge
    or function(output, target)
      return scoring.trim(output) == scoring.trim(target) and 1 or 0
    end
  task.score = task.score or scoring.by_generating(task, judge, { batch = task.batch, stop = task.stop })
  return task
end

--- Opens a folder with train.FORMAT and test.FORMAT, or one file.
function rows.open(format, path, given)
  local o = options.read(("tasks.open(%s)"):format(format), defaults, given)
  local ending = "." .. format
  local train, test
  if path:sub(-#ending) == ending then
    train, test = split(path, read(path), o)
  else
    for _, name in ipairs { "held_out", "seed" } do
      if given and given[name] then
        error(
          ("tasks.open: option `%s` is for a single file, and %s is a folder with a test set"):format(name, path),
          0
        )
      end
    end
    train, test = read(path .. "/train" .. ending), read_test(path, ending)
  end
  local name = path:gsub("/+$", ""):match("[^/]+$"):gsub("%.%w+$", "")
  return rows.task(path, name, { train = train, test = test, max_tokens = o.max_tokens, batch = o.batch })
end

return rows
