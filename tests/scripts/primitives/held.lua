-- no twin: what holds the weights lies under both frontends, and callbacks of Rhai are tried in train.rhai
-- While something computes with the weights of a model, a function that it calls cannot change them.
local lota = require "lota"
local test = require "lota.test"

local name = "model.layers.0.mlp.up_proj.weight"
local rows = {}
for i = 1, 16 do
  rows[i] = { prompt = i .. "+1=", target = tostring(i + 1) }
end

local model = lota.model.init("tiny", { seed = 1 })
local bits, before = model:snapshot(), model:fingerprint()
local batches = lota.data.batches(lota.data.examples(model, rows), { size = 4 })
local batch = batches:next()
local mask = lota.mask.random(model, { density = 0.05, seed = 1 })
model:set_param(name, model:param(name):mul(2))
local ticket = lota.ticket.new(model, mask, { base = before, method = "example" })
local moved = model:delta(bits)
local adapter = lota.lora.extract(moved, { rank = 1 })
model:restore(bits)

local saved = lota.run.start(os.tmpname() .. ".run"):path "state.safetensors"
local other = lota.train.new(model, { params = name, lr = 1e-3 })
other:save(saved)

--- Everything that changes the weights of `model`.
local changes = {
  ["Model:set_param"] = function()
    model:set_param(name, model:param(name):mul(3))
  end,
  ["Model:restore"] = function()
    model:restore(lota.model.init("tiny", { seed = 2 }):snapshot())
  end,
  ["Ticket:apply"] = function()
    ticket:apply(model)
  end,
  ["Lora:apply"] = function()
    adapter:apply(model)
  end,
  ["Trainer:step"] = function()
    other:step(batch)
  end,
  ["Trainer:fit"] = function()
    other:fit(batches, { steps = 1 })
  end,
  ["Trainer:load"] = function()
    other:load(saved)
  end,
}

--- Tries each change inside of what `run` calls back with; every one must be refused by name, and nothing be changed.
local function all_refused(what, run, holder)
  for call, change in pairs(changes) do
    test.case(("%s inside of %s"):format(call, what), function()
      test.raises(function()
        run(change)
      end, call .. ": the weights cannot be changed while " .. holder)
      test.equal(model:fingerprint(), before)
    end)
  end
end

local function trainer(options)
  options.params = name
  options.lr = options.lr or 1e-3
  return lota.train.new(model, options)
end

all_refused("a loss", function(change)
  trainer({
    loss = function(logp)
      change()
      return logp:mean():neg()
    end,
  }):step(batch)
end, "a training step")

all_refused("a loss over several batches", function(change)
  trainer({
    loss = function(logp)
      change()
      return logp:mean():neg()
    end,
  }):step { batch, batches:next() }
end, "a training step")

all_refused("a schedule", function(change)
  trainer({
    schedule = function()
      change()
      return 1
    end,
  }):step(batch)
end, "a training step")

all_refused("on_step", function(change)
  trainer({ lr = 0 }):fit(
    lota.data.batches(lota.data.examples(model, rows), { size = 4 }),
    { steps = 1, on_step = change }
  )
end, "fit")

all_refused("the gathering of scores", function(change)
  lota.train.grad_scores(model, batch, {
    kind = function(_, gradient)
      change()
      return gradient
    end,
  })
end, "grad_scores")

all_refused("the loss of scores", function(change)
  lota.train.grad_scores(model, batch, {
    loss = function(logp)
      change()
      return logp:mean():neg()
    end,
  })
end, "grad_scores")

all_refused("a choice of parameters", function(change)
  lota.train.new(model, {
    params = function()
      change()
      return true
    end,
  })
end, "train.new")

all_refused("lota.values.new", function(change)
  lota.values.new(model, function(_, weights)
    change()
    return weights
  end)
end, "values.new")

all_refused("a generation", function(change)
  model:generate("1+1=", { max_tokens = 2, on_text = change })
end, "Model:generate")

all_refused("a method of merging", function(change)
  lota.merge.models({ model, lota.model.init("tiny", { seed = 3 }) }, {
    method = function(tensors)
      change()
      return tensors[1]
    end,
  })
end, "a merge")

test.case("a ticket does not come off inside of a step, and a swap is none", function()
  local on = ticket:apply(model)
  local applied = model:fingerprint()
  for _, change in ipairs {
    on.unapply,
    function(it)
      return it:swap(ticket)
    end,
  } do
    test.raises(function()
      trainer({
        loss = function(logp)
          change(on)
          return logp:mean():neg()
        end,
      }):step(batch)
    end, "while a training step")
  end
  test.equal({ model:fingerprint(), on:holds() }, { applied, true })
  on:unapply()
  test.equal(model:fingerprint(), before)
end)

test.case("a refused change that is caught does not spoil the step", function()
  local free = model:clone()
  local function stepped(inside)
    local copy = model:clone()
    local trainer = lota.train.new(copy, {
      params = name,
      lr = 1e-3,
      loss = function(logp)
        inside(copy)
        return logp:mean():neg()
      end,
    })
    trainer:step(batch)
    return copy:fingerprint()
  end
  local plain = stepped(function() end)
  local caught = stepped(function(copy)
    test.equal(pcall(copy.set_param, copy, name, copy:param(name):mul(2)), false)
    -- Another model is free.
    free:set_param(name, free:param(name):mul(2))
  end)
  test.equal(caught, plain)
end)

test.case("afterwards the weights are free again", function()
  for call, change in pairs(changes) do
    local ok, why = pcall(change)
    test.equal({ call, ok, why }, { call, true, nil })
    model:restore(bits)
  end
end)
