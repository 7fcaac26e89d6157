--- What a study of sequences found, as a table and as heat maps of R.

local lota = require "lota"
local report = require "lota.report"

local pages = {}

--- The methods of a list of results, in the order in which they first occur.
local function methods(results)
  local out, seen = {}, {}
  for _, result in ipairs(results) do
    if not seen[result.method] then
      out[#out + 1], seen[result.method] = result.method, true
    end
  end
  return out
end

--- A Markdown table of results of cl.study: a row for each method, means and spreads over orders and seeds.
function pages.table(results)
  local rows = {}
  for i, method in ipairs(methods(results)) do
    rows[i] = { method, report.where(results, { method = method }) }
  end
  return report.table("method", rows, {
    { "average", "average" },
    { "backward transfer", "backward" },
    { "forgetting", "forgetting" },
    { "forward transfer", "forward" },
    { "lowest after learning", "lowest" },
    { "capacity left", "capacity" },
  })
end

--- R as an SVG heat map: a row for each task that was trained on, a column for each that was scored. `results` are those
--- of one method and one order; their mean is drawn.
function pages.heatmap(path, results, title)
  local first = results[1]
  if not first then
    error("cl.heatmap: there is no result to draw", 2)
  end
  local rows, matrix = {}, {}
  for i = 0, #first.R do
    rows[i + 1] = i == 0 and "untrained" or "after " .. first.tasks[i]
    matrix[i + 1] = {}
    for j = 1, #first.R do
      local sum = 0
      for _, result in ipairs(results) do
        if result.method ~= first.method or result.order ~= first.order then
          error("cl.heatmap: the results must be of one method and one order", 2)
        end
        sum = sum + (i == 0 and result.untrained[j] or result.R[i][j])
      end
      matrix[i + 1][j] = sum / #results
    end
  end
  local about = { rows = rows, columns = first.tasks, low = 0, high = 1, path = path }
  about.title = title or ("Scores under %s"):format(first.method)
  return lota.plot.heatmap(matrix, about)
end

return pages
