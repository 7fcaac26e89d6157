--- A small test kit for scripts: named cases, comparisons that say what differs, errors that are expected.
--
--   local test = require "lota.test"
--   test.case("masks are disjoint", function()
--     test.equal(a:disjoint(b), true)
--   end)
--
-- A failing case raises an error that names it; a file that reaches its end has passed.

local test = {}

local function show(value)
  if type(value) == "string" then
    return ("%q"):format(value)
  elseif type(value) ~= "table" then
    return tostring(value)
  end
  local keys, parts = {}, {}
  for key in pairs(value) do
    keys[#keys + 1] = key
  end
  table.sort(keys, function(a, b)
    return tostring(a) < tostring(b)
  end)
  for i, key in ipairs(keys) do
    parts[i] = tostring(key) .. " = " .. show(value[key])
  end
  return "{ " .. table.concat(parts, ", ") .. " }"
end

local function same(a, b)
  if type(a) ~= "table" or type(b) ~= "table" then
    return a == b
  end
  for key, value in pairs(a) do
    if not same(value, b[key]) then
      return false
    end
  end
  for key in pairs(b) do
    if a[key] == nil then
      return false
    end
  end
  return true
end

--- Runs `f`; an error in it is raised again with the name of the case.
function test.case(name, f)
  local ok, problem = xpcall(f, debug.traceback)
  if not ok then
    error(("case `%s`: %s"):format(name, problem), 0)
  end
end

--- Equal values; tables are compared by content.
function test.equal(got, expected, note)
  if not same(got, expected) then
    error(("%sexpected %s, got %s"):format(note and note .. ": " or "", show(expected), show(got)), 2)
  end
end

--- Numbers no further apart than `tolerance`.
function test.near(got, expected, tolerance)
  if not (math.abs(got - expected) <= tolerance) then
    error(("expected %s within %s, got %s"):format(expected, tolerance, got), 2)
  end
end

--- `f` must raise an error whose text contains `part`.
function test.raises(f, part)
  local ok, problem = pcall(f)
  if ok then
    error(("expected an error with `%s`, but there was none"):format(part), 2)
  elseif not tostring(problem):find(part, 1, true) then
    error(("expected an error with `%s`, got: %s"):format(part, problem), 2)
  end
end

return test
