--- The built-in task families: short rewriting rules over made-up words, generated from a seed.
--
-- Every example has one form, `name input=` → output, so two families differ by their name and their rule alone:
-- `reverse kitab=` → `batik`, `sort kitab=` → `abikt`. The built-in model has seen the families marked `pretrained`
-- while it was trained (scripts/pretrain_tiny.lua) and none of the others.
--
-- Source: none; made for this project so that the main job needs no data from elsewhere.

local lota = require "lota"
local options = require "lota.options"
local scoring = require "lota.tasks.scoring"

local words = {}

local function letters(rng, shortest, longest)
  local out = {}
  for i = 1, shortest + rng:below(longest - shortest + 1) do
    out[i] = string.char(97 + rng:below(26))
  end
  return out
end

local function shift(letter, by)
  return string.char(97 + (letter:byte() - 97 + by) % 26)
end

local function map(list, f)
  local out = {}
  for i, x in ipairs(list) do
    out[i] = f(x, i)
  end
  return table.concat(out)
end

local function reversed(list)
  return map(list, function(_, i)
    return list[#list + 1 - i]
  end)
end

local function sorted(list, before)
  local copy = table.move(list, 1, #list, 1, {})
  table.sort(copy, before)
  return table.concat(copy)
end

local function rotated(list, by)
  return map(list, function(_, i)
    return list[(i - 1 + by) % #list + 1]
  end)
end

--- A family over letters: `rule` takes the list of letters and returns the output.
local function over_letters(rule, shortest, longest)
  return function(rng)
    local list = letters(rng, shortest or 3, longest or 7)
    return table.concat(list), rule(list)
  end
end

local function each(f)
  return over_letters(function(list)
    return map(list, f)
  end)
end

--- name → { pretrained, doc, make(rng) → input, output }
words.families = {
  copy = { true, "the word as it is", over_letters(table.concat) },
  upper = { true, "in capitals", each(string.upper) },
  next = {
    true,
    "each letter's successor",
    each(function(c)
      return shift(c, 1)
    end),
  },
  previous = {
    true,
    "each letter's predecessor",
    each(function(c)
      return shift(c, -1)
    end),
  },
  double = {
    true,
    "each letter twice",
    each(function(c)
      return c .. c
    end),
  },
  dash = { true, "letters joined by dashes", over_letters(function(list)
    return table.concat(list, "-")
  end) },
  twice = {
    true,
    "the word twice",
    over_letters(function(list)
      return table.concat(list) .. table.concat(list)
    end, 3, 5),
  },
  reverse = { true, "backwards", over_letters(reversed) },
  rotate = {
    true,
    "the first letter moved to the end",
    over_letters(function(list)
      return rotated(list, 1)
    end),
  },
  ends = {
    true,
    "the first and the last letter",
    over_letters(function(list)
      return list[1] .. list[#list]
    end),
  },
  count = {
    true,
    "how many letters",
    over_letters(function(list)
      return tostring(#list)
    end, 2, 9),
  },
  add = {
    true,
    "the sum of two numbers",
    function(rng)
      local a, b = rng:below(50), rng:below(50)
      return a .. "+" .. b, tostring(a + b)
    end,
  },
  sort = { false, "letters in alphabetical order", over_letters(sorted, 3, 6) },
  mirror = {
    false,
    "backwards, in capitals",
    over_letters(function(list)
      return reversed(list):upper()
    end),
  },
  skip = {
    false,
    "every second letter",
    over_letters(function(list)
      return map(list, function(c, i)
        return i % 2 == 1 and c or ""
      end)
    end, 3, 8),
  },
  swap = {
    false,
    "first and last letter exchanged",
    over_letters(function(list)
      local out = table.move(list, 1, #list, 1, {})
      out[1], out[#out] = out[#out], out[1]
      return table.concat(out)
    end),
  },
  leap = {
    false,
    "each letter's successor's successor",
    each(function(c)
      return shift(c, 2)
    end),
  },
  atbash = {
    false,
    "a for z, b for y, and so on",
    each(function(c)
      return string.char(219 - c:byte())
    end),
  },
  nines = {
    false,
    "each digit taken from nine",
    function(rng)
      local digits = {}
      for i = 1, 3 + rng:below(5) do
        digits[i] = rng:below(10)
      end
      return table.concat(digits), map(digits, function(d)
        return tostring(9 - d)
      end)
    end,
  },
  unrotate = {
    false,
    "the last letter moved to the front",
    over_letters(function(list)
      return rotated(list, -1)
    end),
  },
  march = {
    false,
    "rotated, then each letter's successor",
    over_letters(function(list)
      return (rotated(list, 1):gsub(".", function(c)
        return shift(c, 1)
      end))
    end),
  },
}

local defaults = { train = 4096, test = 256, seed = 0, batch = 64 }

--- One example of a family, drawn from `rng`.
function words.example(name, rng)
  local input, output = words.families[name][3](rng)
  return { prompt = name .. " " .. input .. "=", target = output }
end

--- The family as a task. Test prompts differ from each other and never occur among the training prompts.
function words.open(name, given)
  local o = options.read("tasks.open(" .. name .. ")", defaults, given)
  local rng = lota.rng(o.seed):fork(name)
  local task = { name = name, metric = "right word", train = {}, test = {}, max_tokens = 24 }
  local held_out = {}
  while #task.test < o.test do
    local row = words.example(name, rng)
    if not held_out[row.prompt] then
      held_out[row.prompt] = true
      task.test[#task.test + 1] = row
    end
  end
  while #task.train < o.train do
    local row = words.example(name, rng)
    if not held_out[row.prompt] then
      task.train[#task.train + 1] = row
    end
  end
  task.score = scoring.by_generating(task, function(output, target)
    return output == target and 1 or 0
  end, { batch = o.batch })
  return task
end

return words
