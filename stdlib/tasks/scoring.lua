--- How answers are judged: generate greedily, cut the answer out, compare.

local lota = require "lota"

local scoring = {}

--- What stands before the answer in the targets of the published data sets.
scoring.marker = "The final answer is: "

--- Leading and trailing white space removed.
function scoring.trim(text)
  return (text:gsub("^%s+", ""):gsub("%s+$", ""))
end

--- The first n of a list (all without n).
function scoring.first(list, n)
  if n ~= nil and (math.tointeger(n) == nil or n < 1) then
    error("the number of test rows for a score must be a whole number, 1 or more, got " .. tostring(n), 3)
  end
  return table.move(list, 1, math.min(n or #list, #list), 1, {})
end

--- The text after the first marker, or nil. Commas go first, as in the published evaluation.
function scoring.after_marker(text)
  local plain = text:gsub(",", "")
  local _, stop = plain:find(scoring.marker, 1, true)
  return stop and plain:sub(stop + 1), plain
end

--- The number an answer ends on: the first after the marker, else the last anywhere; nil when there is none.
function scoring.number(text)
  local answer, plain = scoring.after_marker(text)
  local found = answer and answer:match "%-?%d+%.?%d*"
  if not found then
    for number in plain:gmatch "%-?%d+%.?%d*" do
      found = number
    end
  end
  return found and tonumber(found)
end

local function counts(text)
  local count, total = {}, 0
  for word in text:lower():gmatch "%w+" do
    count[word] = (count[word] or 0) + 1
    total = total + 1
  end
  return count, total
end

--- Overlap of words as an F1 measure: ROUGE-1 without its stemmer.
function scoring.word_f1(output, target)
  local a, na = counts(output)
  local b, nb = counts(target)
  local shared = 0
  for word, n in pairs(a) do
    shared = shared + math.min(n, b[word] or 0)
  end
  return shared == 0 and 0 or 2 * shared / (na + nb)
end

--- What a row's answer should be: its target, or the last message of its conversation.
function scoring.target(row)
  return row.target or row.messages[#row.messages].content
end

--- A `score` function for a task: generates for the first n test rows and averages `judge(output, target)`.
function scoring.by_generating(task, judge, given)
  return function(model, n)
    local rows = scoring.first(task.test, n)
    if #rows == 0 then
      error(("%s: there are no test rows to score"):format(task.name), 2)
    end
    local outputs = lota.eval.generate(model, rows, {
      max_tokens = task.max_tokens,
      batch = given and given.batch or 16,
      stop = given and given.stop,
    })
    local sum = 0
    for i, output in ipairs(outputs) do
      local judged = judge(output, scoring.target(rows[i]))
      if type(judged) ~= "number" or not (judged >= 0 and judged <= 1) then
        local text = "%s: `judge` must return a number from 0 to 1, it returned %s for row %d"
        error(text:format(tostring(task.name), tostring(judged), i), 0)
      end
      sum = sum + judged
    end
    return sum / #rows, outputs
  end
end

return scoring
