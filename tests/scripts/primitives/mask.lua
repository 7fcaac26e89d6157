-- Masks and scores: exact budgets, bounds, errors, algebra across models.
local lota = require "lota"
local test = require "lota.test"

local model = lota.model.init("tiny", { seed = 1 })
local adaptable = lota.mask.all(model, { params = "adaptable" })
local scores = lota.values.new(model, function(name, w)
  return name:find "_proj" and w or nil
end)

test.case("a density and a count choose exactly so many, within and avoiding", function()
  local n = adaptable:count()
  local tenth = lota.mask.from_scores(scores, { density = 0.1 })
  test.equal(tenth:count(), math.floor(n * 0.1 + 0.5))
  test.equal(tenth <= adaptable, true)
  local next_tenth = lota.mask.from_scores(scores, { density = 0.1, avoid = tenth })
  test.equal(next_tenth:count(), tenth:count())
  test.equal(next_tenth:disjoint(tenth), true)
  local within = lota.mask.match(model, "*.mlp.*")
  test.equal(lota.mask.from_scores(scores, { count = 7, within = within }) <= within, true)
  for _, scope in ipairs { "parameter", "layer", "row" } do
    local mask = lota.mask.from_scores(scores, { density = 0.25, scope = scope })
    test.equal(mask:count(), n / 4)
  end
  local smallest = lota.mask.from_scores(scores, { count = 10, largest = false })
  test.equal(smallest:disjoint(tenth), true)
end)

test.case("more than there are is an error that says how many there are", function()
  local few = scores:map(function(_, t)
    return t:mul(0)
  end)
  test.raises(function()
    lota.mask.from_scores(few, { count = 3 })
  end, "only 0 of")
end)

test.case("a density that takes nothing is an error with the least that takes something", function()
  local tiny = { density = 1e-9 }
  local some = "rounds to none of " .. adaptable:count() .. " entries"
  local with = function(settings)
    for name, value in pairs(tiny) do
      settings[name] = value
    end
    return settings
  end
  for _, draw in ipairs {
    function()
      return lota.mask.random(model, with {})
    end,
    function()
      return lota.mask.from_scores(scores, with { within = adaptable })
    end,
    function()
      return lota.mask.random(model, with { scope = "row" })
    end,
    function()
      return lota.mask.from_scores(scores, with { scope = "layer", largest = false })
    end,
    function()
      return lota.mask.units(scores, with { unit = "row" })
    end,
  } do
    test.raises(draw, "rounds to none of ")
  end
  test.raises(function()
    lota.mask.random(model, tiny)
  end, some)
  local _, why = pcall(lota.mask.random, model, tiny)
  local least = tonumber(tostring(why):match "takes one is ([%d.e-]+)")
  test.equal(lota.mask.random(model, { density = least }):count(), 1)
  -- None is what a density of 0 asks for, and some groups may be too small for any.
  test.equal(lota.mask.random(model, { density = 0 }):count(), 0)
  test.equal(lota.mask.random(model, { density = 0.001, params = "all", scope = "parameter" }):count() > 0, true)
end)

test.case("options are strict", function()
  test.raises(function()
    lota.mask.from_scores(scores, { desnity = 0.1 })
  end, "did you mean 'density'")
  test.raises(function()
    lota.mask.from_scores(scores, { density = 0.1, count = 3 })
  end, "exclude each other")
  test.raises(function()
    lota.mask.from_scores(scores, {})
  end, "give either density or count")
  test.raises(function()
    lota.mask.from_scores(scores, { density = 1.5 })
  end, "from 0 to 1")
  test.raises(function()
    lota.mask.random(model, { density = 0.1, scope = "column" })
  end, "must be one of global, parameter, layer, row")
  test.raises(function()
    lota.mask.all(model, { params = "*.nothing.*" })
  end, "no parameter matches")
  test.raises(function()
    lota.mask.union(lota.mask.none(model), 3)
  end, "Mask")
end)

test.case("a function may choose parameters", function()
  local mask = lota.mask.all(model, {
    params = function(p)
      return p.layer == 1 and p.role == "mlp"
    end,
  })
  test.equal(mask, lota.mask.match(model, "model.layers.1.mlp.*"))
  test.raises(function()
    lota.mask.all(model, {
      params = function()
        return 3
      end,
    })
  end, "must return true or false")
end)

test.case("rows, columns and blocks count from 1, and from the end", function()
  local params = "model.layers.0.mlp.up_proj.weight"
  local rows = lota.mask.rows(model, { params = params, rows = { 1, -1 } })
  local cols = lota.mask.cols(model, { params = params, cols = { 2 } })
  local block = lota.mask.blocks(model, { params = params, blocks = { { 1, 1, 1, -1 }, { -1, -1, 1, -1 } } })
  test.equal(rows:count(), 2 * 32)
  test.equal(block, rows)
  test.equal((rows & cols):count(), 2)
  test.raises(function()
    lota.mask.rows(model, { params = params, rows = { 65 } })
  end, "outside of the 64")
  test.raises(function()
    lota.mask.rows(model, { params = params, rows = { 0 } })
  end, "count from 1")
end)

test.case("masks of different models do not mix", function()
  local config = model:config()
  config.num_hidden_layers = 3
  local other = lota.mask.none(lota.model.init(config))
  test.raises(function()
    return other | adaptable
  end, "not of the same model")
end)

test.case("a generator moves on, a seed does not", function()
  local rng = lota.rng(3)
  local one = lota.mask.random(model, { count = 50, rng = rng })
  local two = lota.mask.random(model, { count = 50, rng = rng })
  test.equal(one == two, false)
  test.equal(lota.mask.random(model, { count = 50, seed = 3 }), lota.mask.random(model, { count = 50, seed = 3 }))
end)

test.case("figures agree with each other", function()
  local a = lota.mask.random(model, { density = 0.3, seed = 1 })
  local b = lota.mask.random(model, { density = 0.3, seed = 2 })
  local both, either = (a & b):count(), (a | b):count()
  test.near(a:jaccard(b), both / either, 1e-12)
  local sum = 0
  for _, row in ipairs(a:overlap(b, { by = "layer" })) do
    sum = sum + row.both
  end
  test.equal(sum, both)
  local capacity = lota.mask.capacity { a, b }
  test.equal(capacity.newly, { a:count(), (b - a):count() })
  test.near(capacity.free, 1 - either / adaptable:count(), 1e-12)
end)

test.case("scores add, scale and report", function()
  local twice = scores:add(scores)
  test.near(twice:max(), 2 * scores:max(), 1e-6)
  test.near(scores:mul(3):sum(), 3 * scores:sum(), 1e-3)
  test.equal(scores:sub(scores):nonzero(), 0)
  test.equal(scores:of "model.norm.weight", nil)
  test.equal(#scores:names(), 14)
  test.raises(function()
    lota.values.new(model, function()
      return 3
    end)
  end, "must return a Tensor or nil")
  test.raises(function()
    lota.values.new(model, function()
      return lota.zeros { 2 }
    end)
  end, "shape")
end)
