-- Everything that lota writes, as it is written and read: `write(what, path, seed)` puts the version of a seed there,
-- and `read(what, path)` gives the seed of the version that it finds whole. For tests/it/faults and tests/outside.
local lota = require "lota"

local models = {}
local function model(seed)
  models[seed] = models[seed] or lota.model.init("tiny", { seed = seed })
  return models[seed]
end

local masks = {}
local function mask(seed)
  masks[seed] = masks[seed] or lota.mask.random(model(9), { density = 0.1, seed = seed })
  return masks[seed]
end

-- The seed of the version that is the same as what was read.
local function which(same)
  for seed = 1, 2 do
    if same(seed) then
      return seed
    end
  end
  error "neither of the two versions"
end

local rows = {}

rows.mask = {
  write = function(path, seed)
    mask(seed):save(path)
  end,
  read = function(path)
    local found = lota.mask.load(path, { model = model(9) })
    return which(function(seed)
      return found == mask(seed)
    end)
  end,
}

rows.ticket = {
  write = function(path, seed)
    local m = model(9)
    lota.ticket.new(m, mask(seed), { base = m:fingerprint(), method = "test", seed = seed }):save(path)
  end,
  read = function(path)
    local ticket = lota.ticket.load(path)
    ticket:check(model(9))
    return which(function(seed)
      return ticket:mask() == mask(seed)
    end)
  end,
}

rows.values = {
  write = function(path, seed)
    lota.values.weights(model(seed)):save(path)
  end,
  read = function(path)
    local found = lota.values.load(path, { model = model(1) })
    return which(function(seed)
      return found:equals(lota.values.weights(model(seed)))
    end)
  end,
}

-- A training after one step, of a model of its own, and its stream of batches.
local function training(seed)
  local m, examples = lota.model.init("tiny", { seed = 9 }), {}
  for i = 1, 8 do
    examples[i] = { prompt = i .. "+1=", target = tostring(i + 1) }
  end
  local batches = lota.data.batches(lota.data.examples(m, examples), { size = 4, seed = 1 })
  return m, lota.train.new(m, { mask = mask(seed), lr = 1e-3, optimizer = "adamw" }), batches
end

rows.training = {
  write = function(path, seed)
    local _, trainer, batches = training(seed)
    trainer:step(batches:next())
    local ok, told = pcall(trainer.save, trainer, path, { batches = batches })
    trainer:close()
    return ok or error(told, 0)
  end,
  -- A file that is refused has changed neither the model nor the trainer.
  read = function(path)
    return which(function(seed)
      local m, trainer, batches = training(seed)
      local before = m:fingerprint()
      local ok, told = pcall(trainer.load, trainer, path, { batches = batches })
      local step = trainer:info().step
      trainer:close()
      if not ok then
        assert(step == 0 and m:fingerprint() == before, "a training that was refused has changed something")
        assert(told:find("other entries", 1, true), told)
      end
      return ok and step == 1
    end)
  end,
}

-- In several files, and the first version has one that the second has not.
local function save_model(path, seed)
  model(seed):save(path, { shard = seed == 1 and 60000 or 90000 })
end

local function load_model(path)
  local found = lota.model.load(path):fingerprint()
  return which(function(seed)
    return found == model(seed):fingerprint()
  end)
end

rows.model = { write = save_model, read = load_model }
rows["model beside a file"] = rows.model

local adapters = {}
local function adapter(seed)
  adapters[seed] = adapters[seed]
    or lota.lora.of(lota.lora.attach(model(9), { rank = 2, seed = seed, targets = { "q_proj" } }))
  return adapters[seed]
end

rows.adapter = {
  write = function(path, seed)
    adapter(seed):save(path)
  end,
  read = function(path)
    local found = lota.lora.load(path)
    local attached = lota.lora.attach(model(9), { adapter = found })
    return which(function(seed)
      return attached:fingerprint() == lota.lora.attach(model(9), { adapter = adapter(seed) }):fingerprint()
    end)
  end,
}

-- What is merged lies beside the folder of what is written.
rows.merge = {
  write = function(path, seed)
    local inputs = path:gsub("[^/]*/[^/]*$", "inputs/")
    local one = { model = inputs .. "1", parameters = { weight = seed } }
    local two = { model = inputs .. "2", parameters = { weight = 3 } }
    local config = { merge_method = "linear", models = { one, two } }
    lota.merge.config(config, path, { replace = true, shard = seed == 1 and 60000 or 90000 })
  end,
  read = function(path)
    local name = "model.layers.0.mlp.up_proj.weight"
    local found = lota.model.load(path):param(name)
    return which(function(seed)
      local sum = model(1):param(name):mul(seed):add(model(2):param(name):mul(3))
      return found:sub(sum:div(seed + 3)):abs():max():item() < 1e-6
    end)
  end,
}

-- A version is a record more.
rows.run = {
  write = function(path, seed)
    local run = lota.run.start(path, { config = { a = 1 }, resume = true })
    for step = #run:records() + 1, seed do
      run:log { step = step, text = ("x"):rep(100) }
    end
  end,
  read = function(path)
    return #lota.run.start(path, { resume = true }):records()
  end,
}

-- A trainer or a run that was left by an error is closed when it is collected, and what it holds is free.
local function settled(work, ...)
  local ok, got = pcall(work, ...)
  collectgarbage()
  return ok and got or ok or error(got, 0)
end

function write(what, path, seed)
  settled(rows[what].write, path, seed)
end

function read(what, path)
  return settled(rows[what].read, path)
end

-- Makes what `write` needs, so that nothing else is left to do then; in `folder` what is merged.
function prepare(folder)
  for seed = 1, 2 do
    mask(seed)
    adapter(seed)
    model(seed)
    if folder then
      model(seed):save(folder .. "/inputs/" .. seed)
    end
  end
end
