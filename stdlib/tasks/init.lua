--- Tasks: training rows, test rows and a score, under one name.
--
--   local tasks = require "lota.tasks"
--   tasks.open "sort"                        a built-in family, generated: nothing to download
--   tasks.open "gsm8k:data/gsm8k"            a data set in a folder
--   tasks.open("sort", { seed = 1, train = 2000 })
--   tasks.names()                            what there is
--   tasks.judge({ "sort", "nines" }, 64)     a function that scores models on several
--
-- A task is a table:
--   name        as it was opened, without the path
--   train, test lists of { prompt =, target = }
--   max_tokens  how long an answer may get
--   metric      what the score counts
--   score       function(model, n) → number in [0, 1], outputs; over the first n test rows (all without n)
-- Anything else of that form works too: the methods in lota.adapt need `train` only.

local options = require "lota.options"

local tasks = {}

--- name → function(path, options) → task, each from its own page.
local sets = {
  gsm8k = require "lota.tasks.gsm8k",
  arc = require("lota.tasks.arc").generate,
  ["arc-choice"] = require("lota.tasks.arc").choice,
  sql = require "lota.tasks.sql",
}

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

--- Opens `name` or `name:path`.
function tasks.open(spec, given)
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
    local all = options.with(sets, words.families)
    local text = "tasks.open: no task is called `%s`; did you mean `%s`? (tasks.names() lists them)"
    error(text:format(name, options.nearest(name, all)), 2)
  end
  if not path then
    error(("tasks.open: `%s` needs its folder, as in `%s:data/%s`"):format(name, name, name), 2)
  end
  return open(path, given)
end

--- A function(model) → { task = score }, over the first `count` test rows of each (all without `count`): what
--- `lota.merge.config` takes as `scores`.
function tasks.judge(specs, count)
  local opened = {}
  for i, spec in ipairs(specs) do
    opened[i] = tasks.open(spec)
  end
  return function(model)
    local scores = {}
    for _, task in ipairs(opened) do
      scores[task.name] = (task.score(model, count))
    end
    return scores
  end
end

return tasks
