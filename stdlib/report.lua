--- Reports: means with their spread, loss curves, heat maps of masks, and where a run is written.
--
--   local report = require "lota.report"
--   local run = report.start("lota", nil, { config = { density = 0.1 } })
--   report.spread({ 0.91, 0.93, 0.92 })                     "0.920 ± 0.010"
--   report.where(run:records(), { kind = "step", seed = 1 })
--   report.table("method", { { "LoTA", records } }, { { "accuracy", "score" } })
--   report.curves("loss.svg", { { name = "LoTA", values = losses } }, { title = "Loss" })
--   report.overlap("overlap.svg", { { "A", mask_a }, { "B", mask_b } })

local lota = require "lota"
local options = require "lota.options"

local report = {}

--- Starts a run in `dir`, or, without one, in the first free one of runs/NAME-1, runs/NAME-2, …
function report.start(name, dir, given)
  if dir then
    return lota.run.start(dir, given)
  end
  local n = 1
  while true do
    local ok, run = pcall(lota.run.start, ("runs/%s-%d"):format(name, n), given)
    if ok then
      return run
    elseif not tostring(run):find("holds a run already", 1, true) then
      error(run, 0)
    end
    n = n + 1
  end
end

--- Mean and sample standard deviation (0 for a single value).
function report.mean_sd(values)
  local sum = 0
  for _, v in ipairs(values) do
    sum = sum + v
  end
  local mean, squares = sum / #values, 0
  for _, v in ipairs(values) do
    squares = squares + (v - mean) ^ 2
  end
  return mean, #values > 1 and math.sqrt(squares / (#values - 1)) or 0
end

--- "mean ± sd", or the mean alone for a single value, or "-" for none. `format` is for each number.
function report.spread(values, format)
  format = format or "%.3f"
  if #values == 0 then
    return "-"
  end
  local mean, sd = report.mean_sd(values)
  return #values == 1 and format:format(mean) or (format .. " ± " .. format):format(mean, sd)
end

--- Those of a list of records that have all the fields of `match`, in order.
function report.where(records, match)
  local out = {}
  for _, record in ipairs(records) do
    local fits = true
    for name, value in pairs(match) do
      fits = fits and record[name] == value
    end
    if fits then
      out[#out + 1] = record
    end
  end
  return out
end

--- One field of those records that have it, in order.
function report.column(records, field)
  local out = {}
  for _, record in ipairs(records) do
    out[#out + 1] = record[field]
  end
  return out
end

--- A Markdown table of means and spreads: a row for each group, a column for each field.
-- `groups` is a list of { title, records }, `columns` a list of { title, field, format = "%.3f" }.
function report.table(first, groups, columns)
  local heads, rows = { first }, {}
  for i, column in ipairs(columns) do
    heads[i + 1] = column[1]
  end
  for g, group in ipairs(groups) do
    rows[g] = { group[1] }
    for i, column in ipairs(columns) do
      rows[g][i + 1] = report.spread(report.column(group[2], column[2]), column.format)
    end
  end
  return lota.markdown(heads, rows)
end

--- A text with each `{name}` in it replaced by `values[name]`.
function report.fill(text, values)
  return (
    text:gsub("{([%w_]+)}", function(name)
      local value = values[name]
      return value == nil and "{" .. name .. "}" or tostring(value)
    end)
  )
end

--- A progress bar that counts: call `step(note)` once for each of the `total` steps, and `done()`.
function report.progress(name, total)
  local bar, at = lota.progress(name, total), 0
  return {
    step = function(note)
      at = at + 1
      bar:update(at, note)
    end,
    done = function()
      bar:done()
    end,
  }
end

--- The losses of step records, by their number: a step that was logged again after a resume counts once.
function report.losses(records)
  local out = {}
  for _, record in ipairs(records) do
    out[record.step] = record.loss
  end
  return out
end

--- Each value averaged with the `width - 1` before it, so that curves of small batches can be read.
function report.smooth(values, width)
  local out, sum = {}, 0
  for i, v in ipairs(values) do
    sum = sum + v - (i > width and values[i - width] or 0)
    out[i] = sum / math.min(i, width)
  end
  return out
end

--- Loss curves as an SVG file. `series` is a list of { name =, values = list of losses }.
function report.curves(path, series, given)
  local o = options.read("report.curves", { title = "Loss", smooth = 1, log = false, x = "step", y = "loss" }, given)
  local lines = {}
  for i, one in ipairs(series) do
    lines[i] = { name = one.name, y = report.smooth(one.values, o.smooth) }
  end
  return lota.plot.lines(lines, { title = o.title, x = o.x, y = o.y, log = o.log, path = path })
end

--- How much masks share, as an SVG heat map: the Jaccard index of every pair. `masks` is a list of { name, mask }.
function report.overlap(path, masks, given)
  local o = options.read("report.overlap", { title = "Mask overlap (Jaccard index)" }, given)
  local matrix, labels = {}, {}
  for i, a in ipairs(masks) do
    labels[i], matrix[i] = a[1], {}
    for j, b in ipairs(masks) do
      matrix[i][j] = a[2]:jaccard(b[2])
    end
  end
  return lota.plot.heatmap(matrix, { labels = labels, low = 0, high = 1, title = o.title, path = path })
end

--- Where two masks overlap, as an SVG heat map: the Jaccard index for every layer (rows) and matrix (columns).
function report.overlap_by_parameter(path, model, a, b, given)
  local o = options.read("report.overlap_by_parameter", { title = "Mask overlap (Jaccard index)" }, given)
  local layers = {}
  for _, parameter in ipairs(model:params()) do
    layers[parameter.name] = parameter.layer
  end
  -- A small mask has no entries in most matrices: what neither mask has entries in is an empty cell, and a column without
  -- any is left out.
  local shares, rows, columns, known = {}, {}, {}, {}
  for _, part in ipairs(a:overlap(b, { by = "parameter" })) do
    local layer = layers[part.group]
    if layer then
      local column = part.group:gsub("^model%.layers%.%d+%.", ""):gsub("%.weight$", "")
      rows[layer + 1] = "layer " .. layer
      shares[layer + 1] = shares[layer + 1] or {}
      if part.first + part.second > 0 then
        shares[layer + 1][column] = part.jaccard
        if not known[column] then
          known[column] = true
          columns[#columns + 1] = column
        end
      end
    end
  end
  local matrix = {}
  for i, row in ipairs(shares) do
    matrix[i] = {}
    for j, column in ipairs(columns) do
      matrix[i][j] = row[column] or 0 / 0
    end
  end
  return lota.plot.heatmap(matrix, { rows = rows, columns = columns, title = o.title, path = path })
end

return report
