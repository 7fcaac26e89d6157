-- Statistics of linear layers: what each kind is, by hand from what flows; data, files and what is refused.
local lota = require "lota"
local test = require "lota.test"

local UP, DOWN = "model.layers.0.mlp.up_proj.weight", "model.layers.1.mlp.down_proj.weight"
local GATE, QUERY = "model.layers.0.mlp.gate_proj.weight", "model.layers.0.self_attn.q_proj.weight"
local model = lota.model.init("tiny", { seed = 1 })
local rows = {}
for i = 1, 4 do
  rows[i] = { prompt = ("x"):rep(i) .. "+1=", target = tostring(3 * i) }
end
local examples = lota.data.examples(model, rows)
local function cut(settings)
  settings.order = "sequential"
  return lota.data.batches(examples, settings):epoch()
end
local four, one = cut { size = 1 }, cut { size = 4 }

local function distance(a, b)
  return (a - b):abs():max():item()
end

--- What flows through a layer, all tokens of all batches, as the function of `each` is given it.
local function flow(batches, name)
  local inputs, outputs = {}, {}
  lota.stats.collect(model, batches, {
    modules = name,
    each = function(of, x, y)
      test.equal(of, name)
      inputs[#inputs + 1], outputs[#outputs + 1] = x, y
    end,
  })
  test.equal(#inputs, #batches)
  return lota.cat(inputs), lota.cat(outputs)
end

local all = lota.stats.collect(model, one, {
  input_norm = true,
  output_norm = true,
  output_magnitude = true,
  gram = true,
})

test.case("each kind is what its name says, by hand from what flows", function()
  for _, name in ipairs { UP, DOWN, QUERY } do
    local x, y = flow(one, name)
    test.equal(x:shape()[1], all:tokens())
    test.equal({ y:shape()[2], x:shape()[2] }, model:param(name):shape())
    test.near(distance(x:matmul(model:param(name):t()), y), 0, 1e-5)
    test.near(distance(all:get("input_norm", name), x:square():sum(1):sqrt()), 0, 1e-5)
    test.near(distance(all:get("output_norm", name), y:square():sum(1):sqrt()), 0, 1e-5)
    test.near(distance(all:get("output_magnitude", name), y:abs():mean(1)), 0, 1e-6)
    test.near(distance(all:get("gram", name), x:t():matmul(x)), 0, 1e-4)
  end
end)

test.case("the diagonal of a Gram matrix holds the squares of the input norms", function()
  for _, name in ipairs(all:names()) do
    local gram, norm = all:get("gram", name), all:get("input_norm", name)
    local diagonal = (gram * lota.eye(gram:shape()[1])):sum(1)
    test.near(distance(diagonal, norm:square()) / diagonal:max():item(), 0, 1e-5)
    test.equal(distance(gram, gram:t()) <= 1e-5 * diagonal:max():item(), true)
  end
end)

test.case("layers that are given the same have the same statistics of their inputs", function()
  test.equal(distance(all:get("gram", UP), all:get("gram", GATE)), 0)
  local alone = lota.stats.collect(model, one, { gram = true, modules = { GATE, DOWN } })
  test.equal(alone:names(), { GATE, DOWN })
  test.equal(distance(all:get("gram", GATE), alone:get("gram", GATE)), 0)
  assert(distance(all:get("output_norm", UP), all:get("output_norm", GATE)) > 0)
end)

test.case("how sequences are cut into batches makes no difference", function()
  local packed = cut { max_tokens = 64, packed = true }
  for _, batches in ipairs { four, packed } do
    local again = lota.stats.collect(model, batches, { input_norm = true, output_magnitude = true, gram = true })
    test.equal({ again:tokens(), again:sequences() }, { all:tokens(), 4 })
    for _, name in ipairs { UP, DOWN, QUERY } do
      for _, kind in ipairs(again:kinds()) do
        local scale = all:get(kind, name):abs():max():item()
        test.near(distance(again:get(kind, name), all:get(kind, name)) / scale, 0, 1e-5)
      end
    end
  end
  local again = lota.stats.collect(model, four, { input_norm = true })
  test.equal(again:info(), all:info())
  local tokens = 0
  for _, row in ipairs(one[1]:tokens()) do
    tokens = tokens + #row
  end
  test.equal(all:tokens(), tokens)
end)

test.case("Fisher information is the mean over sequences of squared gradients of summed log-probabilities", function()
  local s = lota.stats.collect(model, one, { fisher = true, params = { UP, "model.norm.weight" } })
  test.equal(s:names(), { UP, "model.norm.weight" })
  local trainer = lota.train.new(model, {
    params = { UP, "model.norm.weight" },
    loss = function(logp)
      return logp:sum()
    end,
  })
  local sum
  for _, batch in ipairs(four) do
    local square = trainer:gradients(batch):square()
    sum = sum and sum + square or square
  end
  test.near((s:fisher() - sum / 4):norm() / s:fisher():norm(), 0, 1e-5)
  test.equal(distance(s:get("fisher", UP), s:fisher():of(UP)), 0)
end)

test.case("a file gives back the same bits, and what they are of", function()
  local run = lota.run.start(os.tmpname() .. ".run")
  local path = run:path "stats.safetensors"
  local both = lota.stats.collect(model, one, { input_norm = true, gram = true, fisher = true })
  both:save(path)
  local again = lota.stats.load(path, { model = model })
  test.equal(again:kinds(), { "input_norm", "gram", "fisher" })
  test.equal(again:info(), both:info())
  test.equal(tostring(again), tostring(both))
  for _, kind in ipairs(both:kinds()) do
    test.equal(again:names(kind), both:names(kind))
    for _, name in ipairs(both:names(kind)) do
      test.equal(again:get(kind, name), both:get(kind, name))
    end
  end
  -- Shared matrices are written once: less than a matrix for each of the 14 layers.
  local few = lota.stats.collect(model, one, { gram = true })
  assert(few:save(run:path "few.safetensors") < 14 * 4 * 32 * 32 + 20000, "three of seven layers share")

  model:set_param(UP, model:param(UP):mul(2))
  test.raises(function()
    lota.stats.load(path, { model = model })
  end, "other weights")
  test.equal(lota.stats.load(path, { model = model, any_weights = true }):tokens(), both:tokens())
  model:set_param(UP, model:param(UP):div(2))
  test.raises(function()
    lota.stats.load(path, { model = lota.model.builtin() })
  end, "parameter")
  test.raises(function()
    lota.values.load(path)
  end, "is not a values file")
end)

test.case("a head of its own is a layer if it is named", function()
  local config = {
    model_type = "llama",
    vocab_size = 256,
    hidden_size = 16,
    intermediate_size = 32,
    num_hidden_layers = 2,
    num_attention_heads = 2,
    rope_theta = 10000,
    max_position_embeddings = 64,
    rms_norm_eps = 1e-6,
    hidden_act = "silu",
    tie_word_embeddings = false,
  }
  local untied = lota.model.init(config)
  local batch = lota.data.batch { { 1, 2, 3 }, { 4, 5 } }
  test.equal(#lota.stats.collect(untied, batch, { input_norm = true }):names(), 14)
  local logits
  local s = lota.stats.collect(untied, batch, {
    input_norm = true,
    modules = "lm_head.weight",
    each = function(_, _, y)
      logits = y
    end,
  })
  test.equal(s:names(), { "lm_head.weight" })
  test.equal(logits:shape(), { 5, 256 })
  test.equal(s:get("input_norm", "lm_head.weight"):shape(), { 16 })
end)

test.case("with factors of low rank, inputs and outputs are those of the layer with them", function()
  local attached = lota.lora.attach(model, { rank = 2, targets = { "up_proj" } })
  local b = "model.layers.0.mlp.up_proj.lora_B.weight"
  attached:set_param(b, attached:param(b):add(0.5))
  local merged = lota.lora.merge(attached)
  local function magnitude(of)
    return lota.stats.collect(of, one, { output_magnitude = true, modules = UP }):get("output_magnitude", UP)
  end
  test.near(distance(magnitude(attached), magnitude(merged)), 0, 1e-5)
  assert(distance(magnitude(attached), magnitude(model)) > 1e-3)
end)

test.case("what cannot be gathered is told before anything is", function()
  local function refused(text, batches, what)
    test.raises(function()
      lota.stats.collect(model, batches, what)
    end, text)
  end
  refused("holds no batch", {}, { gram = true })
  refused("no statistics are asked for", one, {})
  refused("no parameter matches", one, { gram = true, modules = "*.upp_proj.*" })
  refused("matches no linear layer", one, { gram = true, modules = { UP, "model.norm.weight" } })
  refused("chooses no linear layer", one, {
    gram = true,
    modules = function(parameter)
      return parameter.role == "embed"
    end,
  })
  refused("of Fisher information alone", one, { gram = true, params = UP })
  refused("output_norm", one, { output_nrom = true })
  test.raises(function()
    all:get("grim", UP)
  end, "did you mean 'gram'?")
  test.raises(function()
    all:get("gram", "model.norm.weight")
  end, "must be one of Stats:names('gram')")
  test.raises(function()
    all:get("gram", "model.layers.0.mlp.upproj.weight")
  end, "did you mean")
  test.raises(function()
    all:fisher()
  end, "have no fisher")
end)

test.case("the function of `each` cannot change the weights, and its errors end the pass", function()
  local before = model:fingerprint()
  test.raises(function()
    lota.stats.collect(model, one, {
      each = function()
        model:set_param(UP, model:param(UP):mul(2))
      end,
    })
  end, "cannot be changed while")
  test.equal(model:fingerprint(), before)
  local calls = 0
  test.raises(function()
    lota.stats.collect(model, one, {
      each = function()
        calls = calls + 1
        error "enough"
      end,
    })
  end, "enough")
  test.equal(calls, 1)
end)

test.case("a loss cannot take statistics of its own model", function()
  local trainer = lota.train.new(model, {
    params = UP,
    loss = function(logp)
      lota.stats.collect(model, one, { input_norm = true })
      return logp:sum()
    end,
  })
  test.raises(function()
    trainer:step(one[1])
  end, "whose loss is being computed")
end)
