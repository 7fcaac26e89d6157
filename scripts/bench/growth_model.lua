--- Models of the time and the memory of a training step, fitted to what growth.lua measured; tables and plots.
--
-- What: least squares of the relative error, by normal equations; a term whose coefficient comes out negative is left out.
--
--   seconds = fixed + block·T·W + head·T·V + elementwise·T·L·h + attention·L·h·Σ len² + sampled·T·n + dense·T·G + entry·n
--   bytes   = 4·P (f32) or 2·P (bf16) + fixed + activation·T·L·h + entry·n
--
-- T tokens, W weights of the blocks, V of the head, L layers, h width, n trained entries (in sampled·T·n those whose
-- gradient is sampled), G weights whose gradient is a whole product, P all weights. Figures of one thread and of recomputed
-- activations are shown, not fitted.
--
-- Source: none.
--
-- How to run: lota run scripts/bench/growth_model.lua [--figures docs/growth.json] [--out docs] [--predict CONFIG.json].
-- Writes growth.md and growth-*.svg; --predict asks the models about another shape.
--
-- Measured: docs/performance.md.

local lota = require "lota"

local args = lota.args({
  figures = { "docs/growth.json", "what growth.lua measured" },
  out = { "docs", "the folder to write to" },
  predict = { type = "string", help = "a config.json: predict its step in bf16 at 1 %, and plot nothing" },
  tokens = { 512, "tokens of the predicted step", least = 1 },
})

local modes = { "f32", "bf16" }

local function read(path)
  local file = assert(io.open(path))
  local text = file:read "a"
  file:close()
  return lota.json.decode(text)
end

--- Weights of the blocks, of the head, and all; layers and width.
local function sizes(c)
  local dim = c.head_dim or c.hidden_size // c.num_attention_heads
  local h, q, kv = c.hidden_size, c.num_attention_heads * dim, (c.num_key_value_heads or c.num_attention_heads) * dim
  local blocks = c.num_hidden_layers * (2 * h * q + 2 * h * kv + 3 * h * c.intermediate_size)
  local head = c.vocab_size * h
  local all = blocks + head * (c.tie_word_embeddings and 1 or 2)
  return { blocks = blocks, head = head, all = all, layers = c.num_hidden_layers, width = h }
end

local time_terms = { "fixed", "block", "head", "elementwise", "attention", "sampled", "dense", "entry" }
local function time_features(p)
  local s, tokens = p.sizes, p.sequences * p.tokens
  local all, density = p.density == "full", tonumber(p.density) or 1
  local whole = all and s.blocks + s.head or density >= p.sampled_below and s.blocks or 0
  local square = s.layers * s.width * p.sequences * p.tokens ^ 2
  local n = p.entries
  return {
    1,
    tokens * s.blocks,
    tokens * s.head,
    tokens * s.layers * s.width,
    square,
    whole > 0 and 0 or tokens * n,
    tokens * whole,
    n,
  }
end

local memory_terms = { "fixed", "activation", "entry" }
local function memory_features(p)
  return { 1, p.sequences * p.tokens * p.sizes.layers * p.sizes.width, p.entries }
end
local function weight_bytes(p)
  return p.sizes.all * (p.mode == "f32" and 4 or 2)
end

--- Solves `a x = b` by elimination with pivots.
local function solve(a, b)
  local n = #b
  for i = 1, n do
    local pivot = i
    for r = i + 1, n do
      pivot = math.abs(a[r][i]) > math.abs(a[pivot][i]) and r or pivot
    end
    a[i], a[pivot], b[i], b[pivot] = a[pivot], a[i], b[pivot], b[i]
    for r = i + 1, n do
      local f = a[r][i] / a[i][i]
      for c = i, n do
        a[r][c] = a[r][c] - f * a[i][c]
      end
      b[r] = b[r] - f * b[i]
    end
  end
  local x = {}
  for i = n, 1, -1 do
    local sum = b[i]
    for c = i + 1, n do
      sum = sum - a[i][c] * x[c]
    end
    x[i] = sum / a[i][i]
  end
  return x
end

--- Coefficients, none negative, that make the least squares of relative errors over `points`.
local function fit(points, features, target)
  local rows, kept, scale = {}, {}, {}
  for i, p in ipairs(points) do
    rows[i] = features(p)
    for j, v in ipairs(rows[i]) do
      rows[i][j] = v / target(p)
      scale[j] = math.max(scale[j] or 0, rows[i][j])
    end
  end
  for j = 1, #rows[1] do
    kept[#kept + 1] = scale[j] > 0 and j or nil
  end
  while true do
    local a, b = {}, {}
    for i, ci in ipairs(kept) do
      a[i], b[i] = {}, 0
      for j, cj in ipairs(kept) do
        local sum = 0
        for _, row in ipairs(rows) do
          sum = sum + row[ci] / scale[ci] * row[cj] / scale[cj]
        end
        a[i][j] = sum
      end
      for _, row in ipairs(rows) do
        b[i] = b[i] + row[ci] / scale[ci]
      end
    end
    local x, least = solve(a, b), 1
    for i = 2, #x do
      least = x[i] < x[least] and i or least
    end
    if x[least] >= 0 then
      local out = {}
      for j = 1, #rows[1] do
        out[j] = 0
      end
      for i, c in ipairs(kept) do
        out[c] = x[i] / scale[c]
      end
      return out
    end
    table.remove(kept, least)
  end
end

local function apply(coefficients, row)
  local sum = 0
  for j, c in ipairs(coefficients) do
    sum = sum + c * row[j]
  end
  return sum
end

-- ---------------------------------------------------------------------------------------------------------------------
-- From figures to models and tables

--- Fits `target`, of which `known` needs no fit, and stores the model's values as field `into`; returns its coefficients
--- and a line about them.
local function describe(points, terms, features, target, known, into)
  local coefficients = fit(points, features, function(p)
    return target(p) - known(p)
  end)
  local mean, worst, parts = 0, 0, {}
  for _, p in ipairs(points) do
    p[into] = known(p) + apply(coefficients, features(p))
    local e = math.abs(p[into] / target(p) - 1)
    mean, worst = mean + e / #points, math.max(worst, e)
  end
  for i, name in ipairs(terms) do
    parts[i] = ("%s %.3g"):format(name, coefficients[i])
  end
  local text = "%s; off by %.1f %% in the mean, %.0f %% at worst.\n"
  return coefficients, text:format(table.concat(parts, ", "), 100 * mean, 100 * worst)
end

local function seconds(p)
  return p.seconds
end
local function bytes(p)
  return p.peak_mib * 2 ^ 20
end
local function nothing()
  return 0
end

local points, text, models = read(args.figures), { "# Growth of a training step: every figure\n" }, {}
for _, mode in ipairs(modes) do
  local fitted = {}
  for _, p in ipairs(points) do
    p.sizes = sizes(p.config)
    if p.mode == mode and p.threads == 2 and p.checkpoint == "none" then
      fitted[#fitted + 1] = p
    end
  end
  local time, about = describe(fitted, time_terms, time_features, seconds, nothing, "model")
  local memory, about_memory = describe(fitted, memory_terms, memory_features, bytes, weight_bytes, "model_bytes")
  models[mode] = { time = time, memory = memory }
  text[#text + 1] = mode .. ", seconds: " .. about
  text[#text + 1] = mode .. ", bytes: " .. about_memory
end

if args.predict then
  local s = sizes(read(args.predict))
  local p = {
    mode = "bf16",
    sizes = s,
    sequences = 1,
    tokens = args.tokens,
    density = "0.01",
    entries = s.blocks // 100,
    sampled_below = 1,
  }
  local time = apply(models.bf16.time, time_features(p))
  local gib = (weight_bytes(p) + apply(models.bf16.memory, memory_features(p))) / 2 ^ 30
  lota.print(("1 × %d tokens, 1 %%, bf16: %.1f s, %.1f GiB with activations kept"):format(p.tokens, time, gib))
  return
end

local function off(model, figure)
  return model and ("%+.0f %%"):format(100 * (model / figure - 1)) or "-"
end
local rows = {}
for i, p in ipairs(points) do
  p.model_mib = p.model_bytes and p.model_bytes / 2 ^ 20
  local batch, measured = ("%d × %d"):format(p.sequences, p.tokens), ("%.3f"):format(p.seconds)
  rows[i] = { p.axis, p.mode, p.layers, p.hidden, batch, p.density, p.threads, p.checkpoint }
  table.move({ measured, off(p.model, p.seconds), p.peak_mib, off(p.model_mib, p.peak_mib) }, 1, 4, 9, rows[i])
end
local header = { "axis", "mode", "layers", "width", "tokens", "density", "threads", "checkpoint" }
table.move({ "seconds", "model", "MiB", "model" }, 1, 4, 9, header)
text[#text + 1] = lota.markdown(header, rows)
local file = assert(io.open(args.out .. "/growth.md", "w"))
file:write(table.concat(text, "\n"), "\n")
file:close()
lota.print(table.concat(text, "\n"))

-- ---------------------------------------------------------------------------------------------------------------------
-- Plots

--- Draws field `y` over `x(p)`, and the model's field, for the points of each axis: { axis, name in the legend, also }.
local function plot(name, options, axes, x, y, model)
  local series = {}
  for _, mode in ipairs(modes) do
    for _, axis in ipairs(axes) do
      local found = {}
      for _, p in ipairs(points) do
        if p.mode == mode and (p.axis == axis[1] or axis[3] and axis[3](p)) and x(p) then
          found[#found + 1] = p
        end
      end
      table.sort(found, function(a, b)
        return x(a) < x(b)
      end)
      for _, kind in ipairs { { y, "measured" }, { model, "model" } } do
        local line = { group = mode .. axis[2], kind = kind[2], x = {}, y = {} }
        for _, p in ipairs(found) do
          line.x[#line.x + 1], line.y[#line.y + 1] = x(p), p[kind[1]]
        end
        series[#series + 1] = #line.y == #line.x and line or nil
      end
    end
  end
  options.path = args.out .. "/growth-" .. name .. ".svg"
  lota.plot.lines(series, options)
end

local function tokens(p)
  return p.sequences * p.tokens
end
local function percent(p)
  return tonumber(p.density) and 100 * p.density
end
local function base(p)
  return p.axis == "density" and p.density == "0.01"
end
local function millions(p)
  return p.sizes.blocks / 1e6
end
local one, packed = { "one", ", one sequence" }, { "packed", ", sequences of 256", base }
local deeper, wider = { "depth", ", deeper", base }, { "width", ", wider", base }
local function options(title, x, y)
  return { title = title, x = x, y = y }
end
plot(
  "tokens",
  options("A step over its tokens (10 layers, 1 %)", "tokens", "seconds"),
  { one, packed },
  tokens,
  "seconds",
  "model"
)
plot(
  "density",
  options("A step over density (10 layers, 4 × 256)", "% trained", "seconds"),
  { { "density", "" } },
  percent,
  "seconds",
  "model"
)
plot(
  "shape",
  options("A step over depth and width (4 × 256, 1 %)", "million weights in blocks", "seconds"),
  { deeper, wider },
  millions,
  "seconds",
  "model"
)
plot(
  "memory",
  options("Peak memory over density (10 layers, 4 × 256)", "% trained", "MiB"),
  { { "density", "" } },
  percent,
  "peak_mib",
  "model_mib"
)
local kept, recomputed = { "one", ", kept" }, { "recompute", ", recomputed" }
plot(
  "memory-tokens",
  options("Peak memory over the tokens of one sequence (10 layers, 1 %)", "tokens", "MiB"),
  { kept, recomputed },
  tokens,
  "peak_mib",
  "model_mib"
)
