-- What bounds every constructor of masks, budgets by parameter and layer, masks as tensors and positions.
local lota = require "lota"
local test = require "lota.test"

local model = lota.model.init("tiny", { seed = 1 })
local scores = lota.values.new(model, function(name, w)
  return name:find "_proj" and w or nil
end)
local up = "model.layers.0.mlp.up_proj.weight"
local down = "model.layers.1.mlp.down_proj.weight"

test.case("every constructor stays within and avoids", function()
  local within = lota.mask.random(model, { density = 0.6, seed = 1, params = "all" })
  local avoid = lota.mask.random(model, { density = 0.3, seed = 2, params = "all" })
  local delta = model:delta(lota.model.init("tiny", { seed = 2 }):snapshot())
  local makers = {
    all = function(o)
      return lota.mask.all(model, o)
    end,
    match = function(o)
      return lota.mask.match(model, "*.mlp.*", o)
    end,
    rows = function(o)
      return lota.mask.rows(model, { rows = { 1, 2 }, within = o.within, avoid = o.avoid })
    end,
    cols = function(o)
      return lota.mask.cols(model, { cols = { 1, 2 }, within = o.within, avoid = o.avoid })
    end,
    blocks = function(o)
      return lota.mask.blocks(model, { blocks = { { 1, 4, 1, 8 } }, within = o.within, avoid = o.avoid })
    end,
    heads = function(o)
      return lota.mask.heads(model, { heads = { 1 }, within = o.within, avoid = o.avoid })
    end,
    threshold = function(o)
      return lota.mask.threshold(scores, { above = 0.02, within = o.within, avoid = o.avoid })
    end,
    support = function(o)
      return lota.mask.support(delta, o)
    end,
    from_tensors = function(o)
      return lota.mask.from_tensors(model, function(p)
        return lota.ones(p.shape)
      end, o)
    end,
    from_positions = function(o)
      return lota.mask.from_positions(model, { [up] = { 1, 2, 3, 4, 5, 6, 7, 8, -1 } }, o)
    end,
  }
  for name, make in pairs(makers) do
    local whole, bounded = make {}, make { within = within, avoid = avoid }
    test.equal(bounded, (whole & within) - avoid, name)
    test.equal(bounded:count() > 0 and bounded:count() < whole:count(), true, name)
  end
end)

test.case("patterns and units know their bounds when they choose", function()
  local avoid = lota.mask.nm(scores, { n = 1, m = 4 })
  local second = lota.mask.nm(scores, { n = 1, m = 4, avoid = avoid })
  test.equal(second:count(), avoid:count())
  test.equal(avoid | second, lota.mask.nm(scores, { n = 2, m = 4 }))
  local odd = lota.mask.cols(model, { cols = { 1, 3 }, params = up })
  test.equal(lota.mask.nm(scores, { n = 4, m = 4, within = odd }), odd)

  local best = lota.mask.units(scores, { unit = "row", count = 2, scope = "parameter" })
  local others = lota.mask.units(scores, { unit = "row", count = 2, scope = "parameter", avoid = best })
  test.equal(others:disjoint(best), true)
  test.equal(others:count(), best:count())
  local rows = lota.mask.rows(model, { rows = { 3, 5, 7, 9 }, params = up })
  test.equal(lota.mask.units(scores, { unit = "row", density = 1, within = rows }), rows)
  test.raises(function()
    lota.mask.units(scores, { unit = "row", density = 1, within = rows, avoid = best | rows })
  end, "only 0 with scores that are not all zero may be selected")
  -- Half a row is none.
  test.equal(lota.mask.units(scores, { unit = "row", density = 1, within = odd }):count(), 0)
end)

test.case("a number for each layer and parameter", function()
  local function counts(density, scope, params)
    local mask = lota.mask.random(model, { density = density, scope = scope, params = params })
    return mask:by "parameter"
  end
  local given = counts { [0] = 0.5, [1] = 0.25 }
  test.equal(given[up], 64 * 32 // 2)
  test.equal(given[down], 64 * 32 // 4)
  test.equal(counts { 0.5, 0.25 }, given)
  test.equal(counts { ["0"] = 0.5, ["model.layers.1.*"] = 0.25 }, given)
  test.equal(counts { [1] = 0.25, ["model.layers.0.*"] = 0.5 }, given)
  local by_function = counts(function(p)
    return p.layer == 0 and 0.5 or 0.25
  end)
  test.equal(by_function, given)
  local layers = lota.mask.from_scores(scores, { count = { 10, 20 }, scope = "layer" }):by "layer"
  test.equal({ layers["0"], layers["1"] }, { 10, 20 })
  local rows = lota.mask.from_scores(scores, { count = { 3, 0 }, scope = "row" }):by "parameter"
  test.equal({ rows[up], rows[down] }, { 3 * 64, 0 })
  local units = lota.mask.units(scores, { unit = "column", count = { 1, 2 } }):by "parameter"
  test.equal({ units[up], units[down] }, { 64, 2 * 32 })
end)

test.case("each parameter has one number, and only one", function()
  local function fails(options, what)
    test.raises(function()
      lota.mask.from_scores(scores, options)
    end, what)
  end
  fails({ density = { ["*.mlp.*"] = 0.1 } }, "has no number for parameter model.layers.0.self_attn.q_proj.weight")
  fails({ density = { ["*"] = 0.1, [up] = 0.2 } }, "names parameter " .. up .. " twice, by '*' and by '" .. up .. "'")
  fails({ density = { ["*"] = 1.1 } }, "at '*' must be from 0 to 1, got 1.1")
  fails({ density = { ["*"] = "most" } }, "at '*' must be a number")
  fails({ count = { ["*"] = -1 } }, "at '*' must be a whole number that is not negative")
  fails({ density = { ["*.no.*"] = 0.1 } }, "no parameter matches")
  fails({ density = { [7] = 0.1, ["*.mlp.*"] = 0.1 } }, "names layer 7, which the model does not have")
  fails({ density = { 0.1 } }, "must hold a number for each of the 2 layers, got 1")
  fails({ density = { 0.1, 0.2 }, scope = "global" }, "which the scope 'global' has no use for")
  fails({
    density = function()
      return nil
    end,
  }, "has no number for parameter")
  fails({
    density = function()
      return 3
    end,
  }, "for model.layers.0.self_attn.q_proj.weight must be from 0 to 1, got 3")
  fails({
    scope = "layer",
    density = function(p)
      return p.role == "mlp" and 0.1 or 0.2
    end,
  }, "share one budget in this scope")
  -- What cannot be chosen from needs no number.
  local mlp = lota.mask.match(model, "*.mlp.*")
  test.equal(lota.mask.from_scores(scores, { density = { ["*.mlp.*"] = 0.5 }, within = mlp }):count(), mlp:count() // 2)
end)

test.case("masks go out as tensors and positions, and come back", function()
  local mask = lota.mask.random(model, { density = 0.1, seed = 3, params = "all" })
  local tensors, positions = {}, {}
  for _, p in ipairs(model:params()) do
    tensors[p.name], positions[p.name] = mask:tensor(p.name), mask:positions(p.name)
  end
  test.equal(tensors[up]:dtype(), "u8")
  test.equal(tensors[up]:shape(), { 64, 32 })
  test.equal(lota.mask.from_tensors(model, tensors), mask)
  test.equal(lota.mask.from_positions(model, positions), mask)
  local chosen = model:param(up):flatten():select(1, mask:positions(up))
  test.equal(chosen:count(), tensors[up]:sum():item())
  local frozen = lota.mask.from_tensors(model, function(p)
    return tensors[p.name]:eq(0)
  end)
  test.equal(frozen, lota.mask.complement(mask))
  test.equal(lota.mask.from_tensors(model, {}):count(), 0)
  test.equal(lota.mask.from_positions(model, { [up] = { 1, 1, -1 } }):positions(up):totable(), { 0, 64 * 32 - 1 })
end)

test.case("tensors and positions that do not fit are errors", function()
  local function fails(what, f)
    test.raises(f, what)
  end
  fails("no parameter is called", function()
    lota.mask.from_tensors(model, { nothing = lota.ones { 1 } })
  end)
  fails("has shape [64, 32], and its tensor has [64]", function()
    lota.mask.from_tensors(model, { [up] = lota.ones { 64 } })
  end)
  fails("must hold a Tensor for " .. up, function()
    lota.mask.from_tensors(model, { [up] = 3 })
  end)
  fails("must return a Tensor or nil", function()
    lota.mask.from_tensors(model, function()
      return 3
    end)
  end)
  fails("mine", function()
    lota.mask.from_tensors(model, function()
      error "mine"
    end)
  end)
  fails("for " .. up .. ": holds integer 0, which is no position in a length of 2048, counted from 1", function()
    lota.mask.from_positions(model, { [up] = { 0 } })
  end)
  fails("no position in a length of 2048", function()
    lota.mask.from_positions(model, { [up] = { 2049 } })
  end)
  fails("positions in tensors are stored from 0 up to 2047", function()
    lota.mask.from_positions(model, { [up] = lota.tensor { 2048 } })
  end)
  fails("no parameter is called", function()
    lota.mask.none(model):positions "nothing"
  end)
end)

test.case("a snapshot is put back within a mask, and nowhere else", function()
  for _, dtype in ipairs { "f32", "bf16" } do
    local m = lota.model.init("tiny", { seed = 1, dtype = dtype })
    local other = lota.model.init("tiny", { seed = 2, dtype = dtype })
    local before, after = m:snapshot(), other:snapshot()
    m:restore(after)
    local mask = lota.mask.random(m, { density = 0.3, seed = 4, params = "all" })
    m:restore(before, { within = mask })
    test.equal(m:delta(before):nonzero() > 0, true)
    test.equal(lota.mask.support(m:delta(before)):disjoint(mask), true)
    test.equal(lota.mask.support(m:delta(after)) <= mask, true)
    m:restore(before, { within = lota.mask.complement(mask) })
    test.equal(m:fingerprint(), lota.model.init("tiny", { seed = 1, dtype = dtype }):fingerprint())
  end
  local config = model:config()
  config.num_hidden_layers = 3
  test.raises(function()
    model:restore(model:snapshot(), { within = lota.mask.none(lota.model.init(config)) })
  end, "not of the same model")
end)
