--- What the methods that merge by statistics are given: models, and statistics of each. All of it is looked at before any
-- parameter is merged.

local given = {}

local kind = require("lota.options").kind

--- An error unless there are models and as many statistics. `also` is a type that may stand in the place of a Stats.
-- Statistics with a `needed` kind that were gathered on other weights than those of their model are an error, unless
-- `any_weights` is set.
function given.check(where, models, stats, needed, o, also)
  if type(models) ~= "table" or #models < 2 then
    error(where .. ": the first argument must be a list of two models or more", 3)
  end
  if type(stats) ~= "table" or #stats ~= #models then
    local text = "%s: the second argument must be a list with statistics of each of the %d models, in their order"
    error(text:format(where, #models), 3)
  end
  for i, one in ipairs(stats) do
    local what = kind(one)
    if what == "Stats" then
      local has = false
      for _, name in ipairs(one:kinds()) do
        has = has or name == needed
      end
      if not has then
        local text =
          "%s: the statistics of model %d have no %s: gather them with lota.stats.collect(model, batches, { %s = true })"
        error(text:format(where, i, needed, needed), 3)
      elseif not o.any_weights and kind(models[i]) == "Model" and models[i]:fingerprint() ~= one:info().model then
        local text = "%s: the statistics of model %d are of other weights than it has; is the order another one?"
          .. " (any_weights takes them all the same)"
        error(text:format(where, i), 3)
      end
    elseif what ~= also then
      error(
        ("%s: the statistics of model %d must be a Stats%s, got a %s"):format(
          where,
          i,
          also and " or " .. also or "",
          what
        ),
        3
      )
    end
  end
  local sum = 0
  for i, weight in ipairs(o.weights or {}) do
    if type(weight) ~= "number" or not (weight >= 0 and weight < math.huge) then
      local text = "%s: option `weights` must hold numbers, 0 or more, and number %d is %s"
      error(text:format(where, i, tostring(weight)), 3)
    end
    sum = sum + weight
  end
  if o.weights and sum == 0 then
    error(where .. ": option `weights` holds nothing but 0, of which there is no mean", 3)
  end
  if o.weights and #o.weights ~= #models then
    error(
      ("%s: option `weights` must hold a number for each of the %d models, it holds %d"):format(
        where,
        #models,
        #o.weights
      ),
      3
    )
  end
end

return given
