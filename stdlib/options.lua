--- Option tables: fills in defaults and refuses a name it does not know, with the nearest one it does.
--
-- Every function of the standard library takes its options through here, so a misspelt `desnity` stops a run at once
-- instead of training for an hour with the default. A page keeps them in a table named `defaults`, where the prompt finds
-- their names for Tab.

local options = {}

--- Stands for "no default" in a table of defaults.
options.optional = setmetatable({}, {
  __name = "optional",
  __tostring = function()
    return "none"
  end,
})

--- Number of single-letter edits between two words.
local function distance(a, b)
  local row = {}
  for j = 0, #b do
    row[j] = j
  end
  for i = 1, #a do
    local diagonal = row[0]
    row[0] = i
    for j = 1, #b do
      local cost = a:byte(i) == b:byte(j) and 0 or 1
      diagonal, row[j] = row[j], math.min(row[j] + 1, row[j - 1] + 1, diagonal + cost)
    end
  end
  return row[#b]
end

--- The name in `names` (a table with names as keys) nearest to `wanted`; ties go to the first in the alphabet.
function options.nearest(wanted, names)
  local sorted = {}
  for name in pairs(names) do
    sorted[#sorted + 1] = name
  end
  table.sort(sorted)
  local best, best_distance
  for _, name in ipairs(sorted) do
    local d = distance(wanted, name)
    if not best or d < best_distance then
      best, best_distance = name, d
    end
  end
  return best
end

--- A new table: `defaults` overlaid with `given`. `where` names the function in the error.
function options.read(where, defaults, given)
  local out = {}
  for name, value in pairs(defaults) do
    if value ~= options.optional then
      out[name] = value
    end
  end
  for name, value in pairs(given or {}) do
    if defaults[name] == nil then
      local text = "%s: unknown option `%s`; did you mean `%s`?"
      error(text:format(where, tostring(name), tostring(options.nearest(tostring(name), defaults))), 3)
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
