--- What a sequence of tasks did to a model, as numbers of the matrix R.
--
-- R[i][j] is the score on task j after training on task i, for all i and j from 1 to N; `untrained[j]` is the score on
-- task j before any training. Higher scores are better. Every figure is over one order and one seed.

local metrics = {}

--- Checks that R is square, and how many tasks it has.
local function size(where, R, least)
  local n = type(R) == "table" and #R or 0
  if n < least then
    error(("metrics.%s: R must have at least %d rows, one for each task; it has %d"):format(where, least, n), 3)
  end
  for i, row in ipairs(R) do
    for j = 1, n do
      if type(row[j]) ~= "number" then
        error(("metrics.%s: R[%d][%d] must be a number, got a %s"):format(where, i, j, type(row[j])), 3)
      end
    end
  end
  return n
end

local function mean(count, f)
  local sum = 0
  for i = 1, count do
    sum = sum + f(i)
  end
  return sum / count
end

--- Average performance, ACC: the mean over j of R[N][j] (Lopez-Paz and Ranzato 2017, arXiv 1706.08840, section 2).
function metrics.average(R)
  local n = size("average", R, 1)
  return mean(n, function(j)
    return R[n][j]
  end)
end

--- Backward transfer, BWT: the mean over j < N of R[N][j] - R[j][j] (Lopez-Paz and Ranzato 2017, section 2).
function metrics.backward(R)
  local n = size("backward", R, 2)
  return mean(n - 1, function(j)
    return R[n][j] - R[j][j]
  end)
end

--- Forward transfer, FWT: the mean over j > 1 of R[j - 1][j] - untrained[j] (Lopez-Paz and Ranzato 2017, section 2).
function metrics.forward(R, untrained)
  local n = size("forward", R, 2)
  for j = 2, n do
    if type(untrained) ~= "table" or type(untrained[j]) ~= "number" then
      error(("metrics.forward: the score of task %d before any training is missing"):format(j), 2)
    end
  end
  return mean(n - 1, function(j)
    return R[j][j + 1] - untrained[j + 1]
  end)
end

--- Forgetting, F: the mean over j < N of the best of R[1][j] .. R[N - 1][j] less R[N][j] (Chaudhry et al. 2018, arXiv
--- 1801.10112, section 3). It can be negative.
function metrics.forgetting(R)
  local n = size("forgetting", R, 2)
  return mean(n - 1, function(j)
    local best = R[1][j]
    for l = 2, n - 1 do
      best = math.max(best, R[l][j])
    end
    return best - R[n][j]
  end)
end

--- The lowest score of each task after it was learnt, averaged over j < N: min-ACC (De Lange et al. 2023, arXiv
--- 2205.13452, section 3). `probes` is a list of { after =, task =, score = }: a score of task `task` at a time when
--- `after` tasks were done. The rows of R count as probes too. Far below `average`, there is a stability gap.
function metrics.lowest(R, probes)
  local n = size("lowest", R, 2)
  return mean(n - 1, function(j)
    local low = math.huge
    for i = j + 1, n do
      low = math.min(low, R[i][j])
    end
    for _, probe in ipairs(probes or {}) do
      if probe.task == j and probe.after >= j then
        low = math.min(low, probe.score)
      end
    end
    return low
  end)
end

--- All figures of one sequence: { average, backward, forgetting, forward, lowest }; for a single task, the average alone.
function metrics.all(R, untrained, probes)
  local out = { average = metrics.average(R) }
  if #R > 1 then
    out.backward, out.forgetting = metrics.backward(R), metrics.forgetting(R)
    out.forward, out.lowest = metrics.forward(R, untrained), metrics.lowest(R, probes)
  end
  return out
end

return metrics
