--- Reports: means with their spread, loss curves, heat maps of masks, and the page that shows them all.
--
--   local report = require "lota.report"
--   local run = report.start("lota", nil, { config = { density = 0.1 } })
--   report.spread({ 0.91, 0.93, 0.92 })                     "0.920 ± 0.010"
--   report.where(run:records(), { kind = "step", seed = 1 })
--   report.table("method", { { "LoTA", records } }, { { "accuracy", "score" } })
--   report.curves("loss.svg", { { name = "LoTA", values = losses } }, { title = "Loss" })
--   report.overlap("overlap.svg", { { "A", mask_a }, { "B", mask_b } })
--   report.write(run, { title = "LoTA", table = text, pictures = { { "loss.svg", "Loss", "Of the first seed." } } })

local lota = require "lota"
local options = require "lota.options"

local report = {}

--- Starts a run in `dir`, or, without one, in the first free one of runs/NAME-1, runs/NAME-2, …
function report.start(name, dir, given)
  if dir then
    return lota.run.start(dir, given)
  end
  if given and given.resume then
    error(
      ("report.start: to resume a run of %s, name its folder (--out, where a script has that option)"):format(name),
      0
    )
  end
  return lota.run.start("runs/" .. name, options.with(given, { numbered = true }))
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
  local text = #values == 1 and format:format(mean) or (format .. " ± " .. format):format(mean, sd)
  return (text:gsub("%-nan", "nan")) -- NaN has a sign that says nothing
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

--- A Markdown table with a row for each record: the fields as they are, those that a record lacks as "-".
-- `columns` is a list of { title, field, format = "%s" }.
function report.rows(records, columns)
  local heads, rows = {}, {}
  for i, column in ipairs(columns) do
    heads[i] = column[1]
    for r, record in ipairs(records) do
      local value = record[column[2]]
      rows[r] = rows[r] or {}
      rows[r][i] = value == nil and "-" or (column.format or "%s"):format(value)
    end
  end
  return lota.markdown(heads, rows)
end

--- Seconds as people write them: 12 s, 3 min 5 s, 2 h 10 min.
function report.duration(seconds)
  local s = math.floor(seconds + 0.5)
  if s < 60 then
    return s .. " s"
  elseif s < 3600 then
    return ("%d min %d s"):format(s // 60, s % 60)
  end
  return ("%d h %d min"):format(s // 3600, s % 3600 // 60)
end

--- What was run, as a Markdown list: the command, the version of lota, the model with its fingerprint, and the pairs
--- { name, value } of `more`.
function report.about(model, fingerprint, more)
  local info, command = model:info(), lota.script().command
  local taken = command:find("--out", 1, true) and not command:find("--resume", 1, true)
  local facts = {
    { "command", ("`%s`"):format(command) .. (taken and " (to run it again, choose another folder for --out)" or "") },
    { "lota", lota.version },
    {
      "model",
      ("%s (%s, %d entries, weights in %s, products in %s)"):format(
        info.source,
        info.architecture,
        info.entries,
        info.dtype,
        info.compute
      ),
    },
    { "fingerprint", "`" .. fingerprint .. "`" },
  }
  table.move(more or {}, 1, #(more or {}), #facts + 1, facts)
  for i, fact in ipairs(facts) do
    facts[i] = ("- %s: %s"):format(fact[1], fact[2])
  end
  return table.concat(facts, "\n")
end

--- Writes report.md: a heading, what was run, the table, the pictures, and a row for each seed. `page` has title,
--- summary, about (from report.about), table, rows (from report.rows) and pictures, a list of { file in the run folder,
--- title, what it shows }.
function report.write(run, page)
  local parts = { "# " .. page.title }
  for _, name in ipairs { "summary", "table" } do
    parts[#parts + 1] = page[name]
  end
  for _, picture in ipairs(page.pictures or {}) do
    parts[#parts + 1] = ("![%s](%s)\n\n%s"):format(picture[2], picture[1], picture[3])
  end
  if page.rows then
    parts[#parts + 1] = "## Every seed\n\n" .. page.rows
  end
  if page.about then
    parts[#parts + 1] = "## How it was made\n\n" .. page.about
  end
  for i, part in ipairs(parts) do
    parts[i] = part:gsub("%s+$", "")
  end
  return run:write("report.md", table.concat(parts, "\n\n") .. "\n")
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
  if math.tointeger(width) == nil or width < 1 then
    error("report.smooth: the width must be a whole number, 1 or more, got " .. tostring(width), 2)
  end
  local out, sum = {}, 0
  for i, v in ipairs(values) do
    sum = sum + v - (i > width and values[i - width] or 0)
    out[i] = sum / math.min(i, width)
  end
  return out
end

--- Whether a logarithmic axis shows these lists of values better: all are above 0, and the largest is at least ten times
--- the smallest.
local function spans_decades(lists)
  local low, high = math.huge, 0
  for _, list in ipairs(lists) do
    for _, value in ipairs(list) do
      low, high = math.min(low, value), value == value and math.max(high, value) or high
    end
  end
  return low > 0 and high < math.huge and high >= 10 * low
end

--- Loss curves as an SVG file. `series` is a list of { name =, values = list of losses }; instead of `values`, `phases`
--- takes several lists that are drawn one after the other, with a break between them. Series of one `group` share a
--- colour, series of one `kind` a dash. The loss is on a logarithmic axis where that helps, or as `log` says; `marks`
--- are those of lota.plot.lines.
function report.curves(path, series, given)
  local o = options.read("report.curves", {
    title = { "Loss", "the title of the picture" },
    smooth = { 1, "how many values are averaged with each", least = 1 },
    log = { nil, "a logarithmic axis or not; where it helps when absent", type = "boolean" },
    x = { "step", "what the horizontal axis says" },
    y = { "loss", "what the vertical axis says" },
    marks = { nil, "marks of lota.plot.lines", type = "table" },
    groups = { nil, "groups in the order of their colours, so that they have the same in every chart", type = "table" },
  }, given)
  local lines, drawn = {}, {}
  for i, one in ipairs(series) do
    local x, y, at = {}, {}, 0
    for p, values in ipairs(one.phases or { one.values }) do
      local smoothed = report.smooth(values, o.smooth)
      drawn[#drawn + 1] = smoothed
      if p > 1 and #smoothed > 0 and #y > 0 then
        x[#x + 1], y[#y + 1] = at, 0 / 0 -- breaks the line
      end
      for _, value in ipairs(smoothed) do
        at = at + 1
        x[#x + 1], y[#y + 1] = at, value
      end
    end
    lines[i] = { name = one.name, group = one.group, kind = one.kind, x = x, y = y }
  end
  if o.log == nil then
    o.log = spans_decades(drawn)
  end
  local about = { title = o.title, x = o.x, y = o.y, log = o.log, marks = o.marks, groups = o.groups, path = path }
  return lota.plot.lines(lines, about)
end

--- How much masks share, as an SVG heat map: the Jaccard index of every pair. `masks` is a list of { name, mask }.
function report.overlap(path, masks, given)
  local o = options.read("report.overlap", { title = { "Mask overlap (Jaccard index)", "the title" } }, given)
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
  local layers, count = {}, 0
  for _, parameter in ipairs(model:params()) do
    layers[parameter.name] = parameter.layer
    count = math.max(count, (parameter.layer or -1) + 1)
  end
  local columns, known, found = {}, {}, {}
  for _, part in ipairs(a:overlap(b, { by = "parameter" })) do
    local layer = layers[part.group]
    if layer and part.first + part.second > 0 then
      local name = part.group:gsub("^model%.layers%.%d+%.", ""):gsub("%.weight$", "")
      if not known[name] then
        columns[#columns + 1], known[name] = name, true
      end
      found[layer .. " " .. name] = part.jaccard
    end
  end
  -- Every layer has its row; a matrix of which neither mask has an entry is an empty cell.
  local rows, matrix = {}, {}
  for layer = 0, count - 1 do
    rows[layer + 1], matrix[layer + 1] = "layer " .. layer, {}
    for c, name in ipairs(columns) do
      matrix[layer + 1][c] = found[layer .. " " .. name] or 0 / 0
    end
  end
  return lota.plot.heatmap(matrix, { rows = rows, columns = columns, title = o.title, path = path })
end

return options.strict("lota.report", report)
