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

--- Draws `shortest` to `longest` characters: letters from a to z, or digits.
local function draw(rng, shortest, longest, digits)
  local out = {}
  for i = 1, shortest + rng:below(longest - shortest + 1) do
    out[i] = digits and tostring(rng:below(10)) or string.char(97 + rng:below(26))
  end
  return out
end

--- The character `by` places on, letters and digits each in their circle.
local function shift(character, by)
  local first, count = 97, 26
  if character:match "%d" then
    first, count = 48, 10
  end
  return string.char(first + (character:byte() - first + by) % count)
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

--- A family over words: `rule` takes the list of letters and returns the output.
local function over_letters(rule, shortest, longest)
  return function(rng)
    local list = draw(rng, shortest or 3, longest or 7)
    return table.concat(list), rule(list)
  end
end

--- A family over numbers, digit by digit.
local function over_digits(rule, shortest, longest)
  return function(rng)
    local list = draw(rng, shortest or 3, longest or 7, true)
    return table.concat(list), rule(list)
  end
end

--- A family over words and numbers alike: one in three is a number.
local function over_both(rule, shortest, longest)
  local letters, digits = over_letters(rule, shortest, longest), over_digits(rule, shortest, longest)
  return function(rng)
    return (rng:below(3) == 0 and digits or letters)(rng)
  end
end

--- A rule that changes each character by itself.
local function each(f)
  return function(list)
    return map(list, f)
  end
end

--- name → { pretrained, doc, make(rng) → input, output }
words.families = {
  copy = { true, "as it is", over_both(table.concat) },
  upper = { true, "in capitals", over_letters(each(string.upper)) },
  next = {
    true,
    "each character's successor",
    over_both(each(function(c)
      return shift(c, 1)
    end)),
  },
  previous = {
    true,
    "each character's predecessor",
    over_both(each(function(c)
      return shift(c, -1)
    end)),
  },
  double = {
    true,
    "each character twice",
    over_both(each(function(c)
      return c .. c
    end)),
  },
  dash = {
    true,
    "joined by dashes",
    over_both(function(list)
      return table.concat(list, "-")
    end),
  },
  twice = {
    true,
    "the whole twice",
    over_both(function(list)
      return table.concat(list) .. table.concat(list)
    end, 3, 5),
  },
  reverse = { true, "backwards", over_both(reversed) },
  rotate = {
    true,
    "the first character moved to the end",
    over_both(function(list)
      return rotated(list, 1)
    end),
  },
  ends = {
    true,
    "the first and the last character",
    over_both(function(list)
      return list[1] .. list[#list]
    end),
  },
  count = {
    true,
    "how many characters",
    over_both(function(list)
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
    over_letters(each(function(c)
      return shift(c, 2)
    end)),
  },
  atbash = {
    false,
    "a for z, b for y, and so on",
    over_letters(each(function(c)
      return string.char(219 - c:byte())
    end)),
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
  unrotate = {
    false,
    "the last digit moved to the front",
    over_digits(function(list)
      return rotated(list, -1)
    end),
  },
  nines = {
    false,
    "each digit taken from nine",
    over_digits(each(function(c)
      return string.char(105 - c:byte())
    end)),
  },
  plunge = {
    false,
    "backwards, each digit's predecessor",
    over_digits(function(list)
      return (reversed(list):gsub(".", function(c)
        return shift(c, -1)
      end))
    end),
  },
}

local defaults = {
  train = { 4096, "rows to train on", least = 1 },
  test = { 256, "rows to test with", least = 1 },
  seed = { 0, "of the rows" },
  batch = { 64, "test rows that are answered at a time", least = 1 },
}

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
