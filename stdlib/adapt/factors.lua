--- What the methods that train factors of low rank share: their options, the rank that follows from a number of values,
-- and how the factors come back into the model they were attached to.

local lota = require "lota"
local options = require "lota.options"

local factors = {}

--- Options of the factors themselves.
factors.defaults = {
  rank = {
    nil,
    "the rank of the factors; 8 if neither it nor `count` nor `density` is given",
    type = "number",
    least = 1,
  },
  count = { nil, "the number of values in all factors together, which decides the rank", type = "number", least = 1 },
  density = { nil, "the same as a fraction of all attention and MLP entries", type = "number", above = 0 },
  alpha = {
    nil,
    "numerator of the scale alpha / rank; the rank if not given (rmsprop's alpha stays as it is)",
    type = "number",
  },
  rslora = { false, "divide alpha by sqrt(rank) instead" },
  targets = { "all-linear", "which modules, as `lota.lora.attach` names them" },
  dropout = { 0, "the chance that an entry of A's input is dropped in a step", type = "number", least = 0, most = 1 },
  init = { "kaiming", "how A begins", choices = { "kaiming", "gaussian" } },
}

--- The options that go to the training: without `alpha`, which is that of the factors here. Rmsprop, which has a setting of
-- this name, keeps its default. Under another name it stays, for a resumed training to be compared by.
function factors.training(o)
  return options.with(options.without(o, { "alpha" }), { alpha_of_factors = o.alpha })
end

--- The number of values in the factors of a model.
local function values(attached)
  return lota.mask.all(attached, { params = "lora" }):count()
end

--- `model` with factors as the options say; also their rank and the number of their values.
function factors.attach(where, model, o)
  local given = (o.rank and 1 or 0) + (o.count and 1 or 0) + (o.density and 1 or 0)
  if given > 1 then
    error(where .. ": give one of `rank`, `count` and `density`: each decides the rank", 3)
  end
  local settings = { rslora = o.rslora, targets = o.targets, dropout = o.dropout, init = o.init, seed = o.seed }
  local function make(rank)
    settings.rank, settings.alpha = rank, o.alpha
    return lota.lora.attach(model, settings)
  end
  local rank = o.rank or 8
  local wanted = o.count or o.density and o.density * lota.mask.all(model, { params = "adaptable" }):count()
  if wanted then
    rank = math.max(1, math.floor(wanted / values(make(1)) + 0.5))
  end
  local attached = make(rank)
  if model:info().tied then
    for _, module in ipairs(lota.lora.of(attached):modules()) do
      if module.name == "lm_head" or module.name == "model.embed_tokens" then
        local text = "%s: option `targets` names %s, which shares its weight with another module here;"
          .. " train a model of lota.lora.attach, and merge it with lota.lora.merge"
        error(text:format(where, module.name), 3)
      end
    end
  end
  return attached, rank, values(attached)
end

--- Adds what the factors have learned to the weights of `model`, and returns them as an adapter.
function factors.apply(attached, model)
  local adapter = lota.lora.of(attached)
  adapter:apply(model)
  return adapter
end

return factors
