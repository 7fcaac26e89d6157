--- What each option of a method may be. A method looks at all of them before its first step, so that a run of hours does
-- not end at its last phase over a misspelt word.

--- A whole number from `least` on.
local function whole(least)
  return function(value)
    if math.type(value) == "float" and value ~= math.floor(value) or type(value) ~= "number" or not (value >= least) then
      return "must be a whole number, " .. least .. " or more"
    end
  end
end

local function positive(value)
  if type(value) ~= "number" or not (value > 0 and value < math.huge) then
    return "must be a number above 0"
  end
end

local function fraction(value)
  if type(value) ~= "number" or not (value > 0 and value <= 1) then
    return "must be a number above 0, and at most 1"
  end
end

local function of_type(name)
  return function(value)
    if type(value) ~= name then
      return "must be a " .. name
    end
  end
end

--- What is wrong with a value of an option. What is not listed is looked at by what takes it: see phase.check.
local kinds = {
  steps = whole(1),
  calibration_steps = whole(0),
  lr = positive,
  calibration_lr = positive,
  batch = whole(1),
  accumulate = whole(1),
  max_len = whole(2),
  max_prompt = whole(1),
  warmup = whole(0),
  seed = whole(0),
  density = fraction,
  save_every = whole(0),
  save_to = of_type "string",
  base = of_type "string",
  resume = of_type "boolean",
  keep_packed = of_type "boolean",
  dry_run = of_type "boolean",
  on_step = of_type "function",
  after = of_type "function",
  score = of_type "function",
}

--- The first thing that is wrong with `options`, or nil.
return function(options)
  local names = {}
  for name in pairs(options) do
    names[#names + 1] = name
  end
  table.sort(names)
  for _, name in ipairs(names) do
    local wrong = kinds[name] and kinds[name](options[name])
    if wrong then
      return ("option `%s` %s, got %s"):format(name, wrong, tostring(options[name]))
    end
  end
  if not options.save_to and (options.resume or (options.save_every or 0) > 0) then
    return "option `save_to` is missing: resume and save_every need a folder"
  end
end
