--- Tasks from data files: reads rows, and says which file and row lacks a field.

local lota = require "lota"
local scoring = require "lota.tasks.scoring"

local dataset = {}

--- row → the file and the number it was read from, for as long as the row is in use.
local places = setmetatable({}, { __mode = "k" })

--- Where a row was read, as "data/train.jsonl: row 3"; nil for one that is from no file.
function dataset.place(row)
  return places[row]
end

--- The rows of a file, each made into an example by `row(item)`; every item must have the `fields`. An error in `row`
-- names the file and the row.
function dataset.rows(path, fields, row)
  local out = {}
  local ok, items = pcall(lota.data.read, path)
  if not ok then
    error((tostring(items):gsub("^.*data%.read: ", "")), 0) -- the file is what is wrong, not a line of this page
  end
  for i, item in ipairs(items) do
    for _, field in ipairs(fields) do
      if item[field] == nil then
        error(("%s: row %d has no `%s`"):format(path, i, field), 0)
      end
    end
    local ok, made = pcall(row, item)
    if not ok then
      error(("%s: row %d: %s"):format(path, i, made), 0)
    end
    out[i], places[made] = made, ("%s: row %d"):format(path, i)
  end
  return out
end

--- A task over a folder with train.jsonl and test.jsonl. `about` has name, metric, fields, row(item) and
-- judge(output, target) → number in [0, 1]; `o` has max_tokens and batch.
function dataset.open(folder, o, about)
  local task = {
    name = about.name,
    metric = about.metric,
    train = dataset.rows(folder .. "/train.jsonl", about.fields, about.row),
    test = dataset.rows(folder .. "/test.jsonl", about.fields, about.row),
    max_tokens = o.max_tokens,
  }
  task.score = scoring.by_generating(task, about.judge, { batch = o.batch })
  return task
end

return dataset
