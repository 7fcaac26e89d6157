--- Option tables: what a function takes, told once. The same table fills in defaults, checks what is given, and is what
-- `lota doc` and the prompt show.
--
--   local defaults = {
--     steps = { 100, "optimizer steps", least = 1 },
--     density = { 0.1, "fraction of the entries in the mask", above = 0, most = 1 },
--     scope = { "global", "where the density holds", choices = { "global", "layer" } },
--     clip_norm = { nil, "the largest norm of a gradient", type = "number" },
--   }
--   local o = options.read("adapt.lota", defaults, given)
--
-- An entry is { default, what it is }, like those of `lota.args`. Its type is that of its default, or `type`; `nil` is
-- no default. `also` lists types that may stand instead, whatever they hold. A value that is no table is a default about
-- which nothing more is said.
--
-- Every function of the standard library takes its options through here, so a misspelt `desnity` or a density of 10
-- stops a run at once. A page keeps its table under the name `defaults`, where `lota doc` finds it.

local lota = require "lota"

local options = {}

--- Stands for "no default" where nothing more is said of an option.
options.optional = setmetatable({}, {
  __name = "optional",
  __tostring = function()
    return "none"
  end,
})

--- What a value is: Model, Mask, Tensor, string, table, …
function options.kind(value)
  if type(value) ~= "userdata" then
    return type(value)
  end
  local shown = tostring(value) -- a tensor shows its numbers, then what it is
  return shown:match "^%u%a*" or shown:match "Tensor" or "userdata"
end

--- The names of a table with names as keys, sorted.
local function sorted(names)
  local out = {}
  for name in pairs(names) do
    out[#out + 1] = tostring(name)
  end
  table.sort(out)
  return out
end

--- What to say after a name that is not among the keys of `names`: the nearest, or all of them where none is near.
function options.hint(wanted, names)
  local known = sorted(names)
  local near = lota.nearest(tostring(wanted), known)
  return near and ("; did you mean `%s`?"):format(near) or ("; known are `%s`"):format(table.concat(known, "`, `"))
end

--- Makes reading a name that a module does not have an error with a hint. `path` is what the module is called.
function options.strict(path, module)
  return setmetatable(module, {
    __index = function(_, name)
      error(("%s has no `%s`%s"):format(path, tostring(name), options.hint(name, module)), 2)
    end,
  })
end

--- Words that other libraries use for what has another name here.
local elsewhere = {
  learning_rate = "lr",
  epochs = "steps",
  num_steps = "steps",
  max_steps = "steps",
  batch_size = "batch",
  max_length = "max_len",
  sparsity = "density",
}

--- What is said beside some of them.
local remarks = {
  sparsity = ", which is 1 - sparsity",
  epochs = " (an epoch is the number of training rows, divided by `batch`)",
}

--- What to say after an unknown option: the word for it here, or a hint.
local function meant(name, defaults)
  local here = elsewhere[name]
  if not here or defaults[here] == nil then
    return options.hint(name, defaults)
  end
  return ("; did you mean `%s`%s?"):format(here, remarks[name] or "")
end

--- An entry of a table of defaults, with all that it says.
local function entry(value)
  if value == options.optional then
    return {}
  end
  return type(value) == "table" and value or { value }
end

--- The type of an entry's values; nil where anything may stand.
local function type_of(one)
  if one.type then
    return one.type
  end
  local default = type(one[1])
  if default == "number" then
    return math.type(one[1]) == "integer" and "integer" or "number"
  end
  return default == "boolean" and default or nil
end

local function is_of(value, kind)
  if kind == "integer" then
    return type(value) == "number" and math.tointeger(value) ~= nil
  end
  local plain = kind == "number" or kind == "boolean" or kind == "string" or kind == "function" or kind == "table"
  if plain then
    return type(value) == kind
  end
  return options.kind(value) == kind
end

--- "a number above 0, and at most 1": what an entry's values are.
local function expected(one, value)
  if one.choices then
    return "one of " .. table.concat(one.choices, ", ")
  end
  local kind = type_of(one)
  local text = "a " .. (kind == "integer" and "whole number" or kind)
  if one.least then
    text = ("%s, %s or more"):format(text, one.least)
  end
  if one.above then
    text = ("%s above %s"):format(text, one.above)
  end
  text = one.most and ("%s, and at most %s"):format(text, one.most) or text
  return one.also and not is_of(value, kind) and text .. ", or a " .. table.concat(one.also, " or a ") or text
end

local function fits(value, one)
  if one.choices then
    for _, choice in ipairs(one.choices) do
      if value == choice then
        return true
      end
    end
    return false
  end
  for _, other in ipairs(one.also or {}) do
    if type(value) == other then
      return true
    end
  end
  local kind = type_of(one)
  if not kind then
    return true
  end
  return is_of(value, kind)
    and (not one.least or value >= one.least)
    and (not one.above or value > one.above and value < math.huge)
    and (not one.most or value <= one.most)
end

--- A new table: the defaults of `defaults` overlaid with `given`. `where` names the function in the error about a name
-- that is not known or a value that does not fit.
function options.read(where, defaults, given)
  if given ~= nil and type(given) ~= "table" then
    error(("%s: the options must be a table { name = value }, got %s"):format(where, options.kind(given)), 3)
  end
  local out = {}
  for name, value in pairs(defaults) do
    out[name] = entry(value)[1]
  end
  for name, value in pairs(given or {}) do
    if defaults[name] == nil then
      error(("%s: unknown option `%s`%s"):format(where, tostring(name), meant(tostring(name), defaults)), 3)
    end
    local one = entry(defaults[name])
    if not fits(value, one) then
      error(
        ("%s: option `%s` must be %s, got %s"):format(
          where,
          name,
          expected(one, value),
          type(value) == "string" and ("%q"):format(value) or tostring(value)
        ),
        3
      )
    end
    out[name] = value
  end
  return out
end

--- A copy of `base` with the entries of `more` laid over it; neither is changed.
function options.with(base, more)
  local out = {}
  for name, value in pairs(base or {}) do
    out[name] = value
  end
  for name, value in pairs(more) do
    out[name] = value
  end
  return out
end

--- A copy of `base` without the entries of these names.
function options.without(base, names)
  local out = options.with(base, {})
  for _, name in ipairs(names) do
    out[name] = nil
  end
  return out
end

--- Only those entries of `from` whose names are keys of `defaults`.
function options.pick(defaults, from)
  local out = {}
  for name in pairs(defaults) do
    out[name] = from[name]
  end
  return out
end

return options
