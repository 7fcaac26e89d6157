-- Tickets: on, off, in any order, and only where they belong.
local lota = require "lota"
local test = require "lota.test"

local model = lota.model.init("tiny", { seed = 1 })
local base, bits = model:fingerprint(), model:snapshot()
local one = lota.mask.random(model, { density = 0.05, seed = 1 })
local two = lota.mask.random(model, { density = 0.05, seed = 2, avoid = one })

local function ticket(mask, factor, settings)
  local name = "model.layers.0.mlp.up_proj.weight"
  model:set_param(name, model:param(name):mul(factor))
  local t = lota.ticket.new(model, mask, settings)
  model:restore(bits)
  return t
end

local a = ticket(one, 2, { method = "first", base = base, seed = 7, density = 0.05, tasks = { "x" } })
local b = ticket(two, 3, { method = "second", base = base })

test.case("provenance is kept in the file", function()
  local path = lota.run.start(os.tmpname() .. ".run"):path "a.safetensors"
  local sizes = a:save(path)
  test.equal(sizes.entries, one:count())
  test.near(sizes.per_entry, sizes.bytes / sizes.entries, 1e-9)
  local read = lota.ticket.load(path, { model = model })
  local info = read:info()
  test.equal({ info.method, info.base, info.seed, info.settings.density }, { "first", base, 7, 0.05 })
  test.equal(info.settings.tasks, { "x" })
  test.equal(read:mask(), one)
  test.equal(a:save(path, { values = "bf16" }).value_bytes, 2 * one:count())
end)

test.case("disjoint tickets come off in any order, with the same bits", function()
  local on_a, on_b = a:apply(model), b:apply(model)
  test.equal(model:applied(), { "first", "second" })
  on_a:unapply()
  local only_b = model:fingerprint()
  on_b:unapply()
  test.equal(model:fingerprint(), base)
  on_b = b:apply(model)
  test.equal(model:fingerprint(), only_b)
  on_b:unapply()
  test.raises(function()
    on_b:unapply()
  end, "not applied")
end)

test.case("a ticket under another waits, and a swap does both", function()
  local under = a:apply(model)
  local over = ticket
  local c = lota.ticket.new(model, one, { base = base, method = "third" })
  over = c:apply(model)
  test.raises(function()
    under:unapply()
  end, "shares")
  over = over:swap(b)
  test.equal(model:applied(), { "first", "second" })
  over:unapply()
  under:unapply()
  test.equal(model:fingerprint(), base)
end)

test.case("another base is refused, unless it is asked for", function()
  local other = lota.model.init("tiny", { seed = 2 })
  test.raises(function()
    a:apply(other)
  end, "another base")
  test.raises(function()
    a:check(other)
  end, "another base")
  a:check(model)
  local before = other:fingerprint()
  a:apply(other, { any_base = true }):unapply()
  test.equal(other:fingerprint(), before)
  local config = model:config()
  config.hidden_size = 64
  test.raises(function()
    a:apply(lota.model.init(config), { any_base = true })
  end, "not of the same model")
end)

test.case("restoring a snapshot takes tickets with it", function()
  local on = a:apply(model)
  model:restore(bits)
  test.equal({ on:holds(), #model:applied() }, { false, 0 })
  local again = b:apply(model)
  test.raises(function()
    on:unapply()
  end, "not applied")
  again:unapply()
  test.equal(model:fingerprint(), base)
end)

test.case("a change under an applied ticket makes its base unknown", function()
  local up, other = "model.layers.0.mlp.up_proj.weight", "model.layers.1.mlp.up_proj.weight"
  local rows = {}
  for i = 1, 4 do
    rows[i] = { prompt = i .. "+1=", target = tostring(i + 1) }
  end
  local batch = lota.data.batches(lota.data.examples(model, rows), { size = 4 }):next()
  local function refused(text)
    test.raises(function()
      b:apply(model)
    end, text)
    test.raises(function()
      b:check(model)
    end, text)
    test.raises(function()
      lota.merge.tickets({ a, b }, { base = model, method = "linear" })
    end, "")
  end
  local changes = {
    function() -- of another parameter
      model:set_param(other, model:param(other):mul(3))
    end,
    function() -- of the parameter that the ticket lies in
      model:set_param(up, model:param(up):mul(3))
    end,
    function() -- some entries of a snapshot of other weights
      local others = lota.model.init("tiny", { seed = 2 }):snapshot()
      model:restore(others, { within = lota.mask.match(model, other) })
    end,
    function() -- a training step
      lota.train.new(model, { params = other, lr = 1e-2 }):step(batch)
    end,
    function() -- another trainer's state
      local path = lota.run.start(os.tmpname() .. ".run"):path "state.safetensors"
      local trainer = lota.train.new(model, { params = other, lr = 1e-2 })
      trainer:step(batch)
      trainer:save(path)
      trainer:load(path)
    end,
  }
  for _, change in ipairs(changes) do
    local on = a:apply(model)
    change()
    refused 'the weights were changed while "first" was applied'
    test.raises(function()
      on:swap(b)
    end, "no longer known")
    on:unapply()
    refused "restore a snapshot of the base, or apply the ticket with any_base"
    test.equal(model:fingerprint() ~= base, true)
    b:apply(model, { any_base = true }):unapply()
    model:restore(bits)
    b:apply(model):unapply()
    test.equal(model:fingerprint(), base)
  end
  -- Between two tickets, the lower of which comes off first.
  local under = a:apply(model)
  local over = b:apply(model)
  changes[1]()
  under:unapply()
  refused 'while "first", "second" was applied'
  over:unapply()
  refused 'while "first", "second" was applied'
  model:restore(bits)
  -- A change that is taken back leaves the base what it was.
  local on = a:apply(model)
  local kept = model:param(other)
  changes[1]()
  model:set_param(other, kept)
  on:unapply()
  b:apply(model):unapply()
  -- What was trained on the changed weights belongs to them.
  changes[1]()
  local here = lota.ticket.new(model, two, { base = model:fingerprint(), method = "here" })
  here:apply(model):unapply()
  model:restore(bits)
end)

test.case("a base must be named", function()
  test.raises(function()
    lota.ticket.new(model, one, { method = "x" })
  end, "base")
end)

test.case("every form is read, and lossy ones say what they lost", function()
  local run = lota.run.start(os.tmpname() .. ".run")
  local plain, compact = run:path "plain.safetensors", run:path "compact.safetensors"
  local sizes = a:save(plain)
  local small = lota.ticket.convert(plain, compact, { codec = "compact" })
  test.equal(lota.ticket.load(compact):mask(), one)
  test.equal({ small.rounded, small.relative_error }, { 0, 0 })
  assert(small.bytes < sizes.bytes)
  -- And a few bytes for each of the parameters, which here hold fifty entries each.
  assert(small.index_bytes < 1.02 * small.bound_bytes + 3 * #model:params())
  test.equal(small.index_bytes + small.value_bytes, a:bytes { codec = "compact" })
  local int8, ternary = a:save(compact, { values = "int8" }), a:save(compact, { values = "ternary" })
  assert(0 < int8.relative_error and int8.relative_error < 0.01)
  assert(int8.relative_error < ternary.relative_error and ternary.relative_error < 0.6)
  test.raises(function()
    a:save(compact, { codec = "zip" })
  end, "option 'codec' must be one of plain, compact")
  test.raises(function()
    a:save(compact, { values = "int4" })
  end, "option 'values' must be one of f32, bf16, int8, ternary")
end)

test.case("differences are read with their base", function()
  local path = lota.run.start(os.tmpname() .. ".run"):path "delta.safetensors"
  a:save(path, { codec = "compact", values = "ternary", base = model })
  test.raises(function()
    lota.ticket.load(path)
  end, "give that model")
  local read = lota.ticket.load(path, { model = model })
  test.equal(read:mask(), one)
  local on = a:apply(model)
  test.raises(function()
    lota.ticket.load(path, { model = model })
  end, "with no tickets applied")
  on:unapply()
end)

test.case("two folders make the ticket between them", function()
  local run = lota.run.start(os.tmpname() .. ".run")
  local before, after = run:path "before", run:path "after"
  model:save(before, { dtype = "f32" })
  local on = a:apply(model)
  local moved = model:delta(bits)
  model:save(after, { dtype = "f32" })
  on:unapply()
  local t = lota.ticket.from(before, after, { count = 50 })
  test.equal(t:mask(), lota.mask.from_scores(moved, { count = 50 }))
  test.equal(t:info().base, base)
  test.raises(function()
    lota.ticket.from(before, after)
  end, "give either density or count")
end)
