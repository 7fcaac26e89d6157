--- Sweeps: one function, many settings, several seeds; each is run once, and a sweep that was stopped goes on.
--
--   local sweep = require "lota.sweep"
--   local results = sweep.run(run, { lr = { 1e-4, 1e-3 }, density = { 0.01, 0.1 } }, function(setting, seed)
--     return { score = train_and_score(setting.lr, setting.density, seed) }
--   end, { seeds = 3 })
--   sweep.table(results, { "lr", "density" }, { { "score", "score" } })
--   sweep.plot("lr.svg", results, { x = "lr", y = "score", group = "density", log_x = true })
--
-- The settings are a grid, { name = list of values }, or a list of settings, { { lr = 1e-4 }, { lr = 1e-3 } }. `run` is a
-- run folder (lota.run.start); its metrics.jsonl has a record for each setting and seed:
-- { kind = "sweep", key, setting, seed, result }.

local lota = require "lota"
local options = require "lota.options"
local report = require "lota.report"

local sweep = {}

local function sorted_names(map)
  local names = {}
  for name in pairs(map) do
    names[#names + 1] = name
  end
  table.sort(names)
  return names
end

--- All settings of a grid, the last name (in the alphabet) changing first; a list of settings stays as it is.
function sweep.settings(given)
  if type(given) ~= "table" or next(given) == nil then
    error("sweep.settings: expected a grid { name = list } or a list of settings, and not an empty one", 2)
  end
  if #given > 0 then
    return given
  end
  local out = { {} }
  for _, name in ipairs(sorted_names(given)) do
    if type(given[name]) ~= "table" or #given[name] == 0 then
      error(("sweep.settings: `%s` must be a list of values, and not an empty one"):format(name), 2)
    end
    local wider = {}
    for _, setting in ipairs(out) do
      for _, value in ipairs(given[name]) do
        wider[#wider + 1] = options.with(setting, { [name] = value })
      end
    end
    out = wider
  end
  return out
end

--- One text for a setting and a seed, the same for the same values in any order.
local function key(setting, seed)
  local parts = {}
  for i, name in ipairs(sorted_names(setting)) do
    local value = setting[name]
    if type(value) == "table" or type(value) == "userdata" or type(value) == "function" then
      error(("sweep.run: the setting `%s` must be a string, a number or a boolean"):format(name), 3)
    end
    parts[i] = type(value) == "number" and ("%s=%.17g"):format(name, value)
      or type(value) == "string" and ("%s=%q"):format(name, value)
      or name .. "=" .. tostring(value)
  end
  return table.concat(parts, " ") .. " seed=" .. seed
end

--- Runs `f(setting, seed)` for each setting and seed that `run` has no record of. It returns a map of numbers. Returns a
--- list of { setting, seed, result }, settings in order, seeds inside. A setting that occurs twice is an error. Whether
--- `f` has changed since a record was made cannot be seen: after a change, start a run of its own.
function sweep.run(run, given, f, more)
  local defaults = {
    seeds = { 1, "how many seeds", least = 1 },
    first_seed = { 1, "the first seed; the others follow it", least = 0 },
  }
  local o = options.read("sweep.run", defaults, more)
  if not tostring(run):find "^Run" then
    error("sweep.run: the first argument must be a Run, as lota.run.start gives one", 2)
  end
  local known, seen, todo = {}, {}, {}
  for _, record in ipairs(report.where(run:records(), { kind = "sweep" })) do
    known[record.key] = record.result
  end
  for _, setting in ipairs(sweep.settings(given)) do
    for seed = o.first_seed, o.first_seed + o.seeds - 1 do
      local name = key(setting, seed)
      if seen[name] then
        error(("sweep.run: the setting %s occurs twice"):format(name), 2)
      end
      seen[name] = true
      todo[#todo + 1] = { name = name, setting = setting, seed = seed }
    end
  end
  local there = 0
  for _, one in ipairs(todo) do
    there = there + (known[one.name] and 1 or 0)
  end
  if there > 0 then
    local text = "sweep: %d of %d results are in %s already and are not made again; after a change of the function, start a run"
      .. " of its own"
    lota.print(text:format(there, #todo, run:dir()))
  end
  local results, bar = {}, report.progress("sweep", #todo)
  for i, one in ipairs(todo) do
    local result = known[one.name]
    if not result then
      result = f(options.with(one.setting, {}), one.seed)
      if type(result) ~= "table" then
        error(
          ("sweep.run: the function must return a map of numbers, got a %s at %s"):format(type(result), one.name),
          2
        )
      end
      for name, value in pairs(result) do
        if type(value) ~= "number" then
          local text = "sweep.run: the function must return a map of numbers, and `%s` is a %s at %s"
          error(text:format(tostring(name), type(value), one.name), 2)
        end
      end
      run:log { kind = "sweep", key = one.name, setting = one.setting, seed = one.seed, result = result }
    end
    results[i] = { setting = one.setting, seed = one.seed, result = result }
    bar.step(one.name)
  end
  bar.done()
  return results
end

--- The results of each setting together: { { setting, records = results }, … } in order.
local function by_setting(results)
  local out, at = {}, {}
  for _, one in ipairs(results) do
    local name = key(one.setting, 0)
    if not at[name] then
      out[#out + 1] = { setting = one.setting, records = {} }
      at[name] = out[#out]
    end
    table.insert(at[name].records, one.result)
  end
  return out
end

--- An error unless `names` are settings, those that tell the results apart, and each of `fields` is in a result.
local function check(where, results, names, fields)
  if type(results) ~= "table" or #results == 0 then
    error(where .. ": there are no results; give what sweep.run returned", 3)
  end
  local told, values = {}, {}
  for _, name in ipairs(names) do
    told[name] = true
  end
  for _, one in ipairs(results) do
    for name, value in pairs(one.setting) do
      values[name] = values[name] or { value }
      if not told[name] and values[name][1] ~= value then
        local text = "%s: the setting `%s` differs between the results too, which would look alike: name it, or choose results"
          .. " that agree in it"
        error(text:format(where, name), 3)
      end
    end
  end
  for _, name in ipairs(names) do
    if not values[name] then
      local text = "%s: no setting is called `%s`%s"
      error(text:format(where, name, options.hint(name, values)), 3)
    end
  end
  for _, field in ipairs(fields) do
    if #report.column(report.column(results, "result"), field) == 0 then
      local text = "%s: no result has a `%s`%s"
      error(text:format(where, field, options.hint(field, results[1].result)), 3)
    end
  end
end

--- A Markdown table: a row for each setting, its `names`, then mean and spread over the seeds of each of `columns`, a list
--- of { title, field of the result, format = "%.3f" }.
function sweep.table(results, names, columns)
  local heads, rows, fields = table.move(names, 1, #names, 1, {}), {}, {}
  for i, column in ipairs(columns) do
    heads[#heads + 1], fields[i] = column[1], column[2]
  end
  check("sweep.table", results, names, fields)
  for i, group in ipairs(by_setting(results)) do
    rows[i] = {}
    for n, name in ipairs(names) do
      local value = group.setting[name]
      rows[i][n] = value == nil and "-" or tostring(value)
    end
    for c, column in ipairs(columns) do
      rows[i][#names + c] = report.spread(report.column(group.records, column[2]), column.format)
    end
  end
  return lota.markdown(heads, rows)
end

--- A line chart as an SVG file: the mean over seeds of one field against one setting, with a band of one standard
--- deviation; a line for each value of the setting `group`. On a logarithmic axis all values must be above 0.
function sweep.plot(path, results, given)
  local defaults = {
    x = { nil, "the name of the setting on the horizontal axis; needed", type = "string" },
    y = { nil, "the field of the results on the vertical axis; needed", type = "string" },
    group = { nil, "the setting that tells lines apart", type = "string" },
    title = { "", "the title of the picture" },
    log_x = { false, "a logarithmic horizontal axis" },
    log_y = { false, "a logarithmic vertical axis" },
    markers = { true, "show every setting as a point of its line" },
  }
  local o = options.read("sweep.plot", defaults, given)
  if not (o.x and o.y) then
    error("sweep.plot: options `x` and `y` are needed", 2)
  end
  check("sweep.plot", results, { o.x, o.group }, { o.y })
  local lines, order = {}, {}
  for _, one in ipairs(by_setting(results)) do
    local x, values = one.setting[o.x], report.column(one.records, o.y)
    if type(x) ~= "number" or o.log_x and x <= 0 then
      local wanted = o.log_x and "a number above 0" or "a number"
      error(("sweep.plot: the setting `%s` must be %s, got %s"):format(o.x, wanted, tostring(x)), 2)
    end
    local name = o.group and ("%s %s"):format(o.group, tostring(one.setting[o.group])) or o.y
    if not lines[name] then
      lines[name] = { name = name, points = {} }
      order[#order + 1] = lines[name]
    end
    local mean, sd = report.mean_sd(values)
    table.insert(lines[name].points, { x, mean, sd })
  end
  for _, line in ipairs(order) do
    table.sort(line.points, function(a, b)
      return a[1] < b[1]
    end)
    line.x, line.y, line.spread = {}, {}, {}
    for i, point in ipairs(line.points) do
      line.x[i], line.y[i], line.spread[i] = point[1], point[2], point[3]
    end
    line.points = nil
  end
  local about = { title = o.title, x = o.x, y = o.y, log_x = o.log_x, log_y = o.log_y, markers = o.markers }
  about.path = path
  return lota.plot.lines(order, about)
end

return options.strict("lota.sweep", sweep)
