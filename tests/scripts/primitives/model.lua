-- Models: making, writing over, snapshots, hashes, text.
local lota = require "lota"
local test = require "lota.test"

local model = lota.model.init("tiny", { seed = 1 })
local up = "model.layers.0.mlp.up_proj.weight"

test.case("a seed means the same weights, another seed other ones", function()
  test.equal(model:fingerprint(), lota.model.init("tiny", { seed = 1 }):fingerprint())
  test.equal(model:fingerprint() ~= lota.model.init("tiny", { seed = 2 }):fingerprint(), true)
end)

test.case("a parameter is a copy, and writing one back changes the model in place", function()
  local m = model:clone()
  local trainer = lota.train.new(m, { params = up, lr = 0 })
  m:param(up):add_(1)
  test.equal(m:fingerprint(), model:fingerprint())
  m:set_param(up, m:param(up):mul(0):add(2))
  test.equal(m:param(up):sum():item(), 2 * 64 * 32)
  test.equal(m:fingerprint() ~= model:fingerprint(), true)
  trainer:close()
end)

test.case("mistakes name what is wrong", function()
  test.raises(function()
    model:param "model.layers.0.mlp.up_proj.wieght"
  end, "did you mean")
  test.raises(function()
    model:set_param(up, lota.zeros { 3, 3 })
  end, "[64, 32]")
  test.raises(function()
    lota.model.init { architectures = { "NoSuchForCausalLM" }, model_type = "nosuch" }
  end, "nosuch")
  test.raises(function()
    lota.model.init("tiny", { dtype = "f61" })
  end, "must be one of f32, bf16")
  test.raises(function()
    lota.model.load "no/such/folder/at/all"
  end, "no such file or folder")
  test.raises(function()
    model:chat { { role = "user", content = "hi" } }
  end, "chat template")
end)

test.case("a snapshot brings back the bits, in f32 and in bf16", function()
  for _, dtype in ipairs { "f32", "bf16" } do
    local m = lota.model.init("tiny", { seed = 3, dtype = dtype })
    local before, hash = m:snapshot(), m:hash()
    m:set_param(up, m:param(up):to("f32"):mul(1.7))
    test.equal(m:hash() ~= hash, true)
    test.equal(m:delta(before):nonzero() > 0, true)
    test.equal(m:delta(before, { params = "*.self_attn.*" }):nonzero(), 0)
    m:restore(before)
    test.equal(m:hash(), hash)
    test.equal(m:delta(before):nonzero(), 0)
  end
end)

test.case("hashes tell inside from outside", function()
  local m = model:clone()
  local mask = lota.mask.random(m, { density = 0.3, seed = 5 })
  local inside, outside = m:hash { mask = mask }, m:hash { outside = mask }
  local w = m:param(up)
  m:set_param(up, w:add(lota.ones(w:shape())))
  test.equal(m:hash { mask = mask } ~= inside, true)
  test.equal(m:hash { outside = mask } ~= outside, true)
  test.raises(function()
    m:hash { mask = mask, outside = mask }
  end, "exclude each other")
end)

test.case("logits of a batch have a row for each of its tokens, and of several batches come in a list", function()
  local model = lota.model.init("tiny", { seed = 3 })
  local rows = { { prompt = "1+1=", target = "2" }, { prompt = "a longer one", target = "yes" } }
  local examples = lota.data.examples(model, rows)
  local batch = lota.data.batches(examples, { size = 2, order = "sequential" }):next()
  local logits = model:logits(batch)
  test.equal(logits:shape(), { batch:size(), 257 })
  -- Each sequence by itself.
  local at = 0
  for _, tokens in ipairs(batch:tokens()) do
    local alone = model:logits(tokens)
    test.near((logits:narrow(1, at + 1, { len = #tokens }) - alone):abs():max():item(), 0, 1e-5)
    at = at + #tokens
  end
  local list = model:logits { batch, batch }
  test.equal({ #list, list[2] == logits }, { 2, true })
  test.equal(#model:logits(examples), 1)
  test.equal(#model:logits(lota.data.batches(examples, { size = 1 })), 2)
  test.raises(function()
    model:logits {}
  end, "is empty")
  test.raises(function()
    model:logits(model)
  end, "must be Batches, Examples, a Batch or a list of them")
end)

test.case("text goes to tokens and back, logits have a row for each token", function()
  local ids = model:tokenize "naïve 🦀"
  test.equal(model:detokenize(ids), "naïve 🦀")
  test.equal(model:logits(ids):shape(), { #ids, 257 })
  local logp = model:logp(lota.data.batch { ids })
  test.equal(logp:shape(), { #ids - 1 })
end)

test.case("generation does not depend on what is generated beside it", function()
  local texts = { "a", "longer text", "third one here" }
  local options = { max_tokens = 6, temperature = 0 }
  local together = model:generate(texts, options)
  for i, text in ipairs(texts) do
    test.equal(model:generate(text, options), together[i])
  end
  local sampled = { max_tokens = 8, temperature = 1, seed = 4 }
  test.equal(model:generate("a", sampled), model:generate("a", sampled))
  local pieces = {}
  local whole = model:generate("abc", {
    max_tokens = 6,
    on_text = function(piece, i)
      pieces[#pieces + 1] = piece
      test.equal(i, 1)
    end,
  })
  test.equal(table.concat(pieces), whole)
end)

test.case("of a long prompt only the end counts, if so many tokens are asked for", function()
  local words = ("some words and then more of them "):rep(2000)
  local options = { max_tokens = 4, max_prompt = 12 }
  local made = lota.eval.generate(model, { { prompt = words }, { prompt = "short" } }, options)
  test.equal(made[1], lota.eval.generate(model, { words:sub(-12) }, { max_tokens = 4 })[1])
  test.equal(made[2], lota.eval.generate(model, { "short" }, { max_tokens = 4 })[1])
end)

test.case("settings of a generation that mean nothing are refused at once", function()
  for _, wrong in ipairs {
    { { temperature = -1 }, "temperature must be 0 or more, not -1" },
    { { temperature = 0 / 0 }, "temperature must be 0 or more" },
    { { top_k = 0 }, "top_k must be at least 1" },
    { { top_k = -3 }, "'top_k' must be an integer" },
    { { top_p = 2 }, "top_p must be above 0 and at most 1, not 2" },
    { { top_p = 0 }, "top_p must be above 0 and at most 1, not 0" },
    { { min_p = -0.1 }, "min_p must be from 0 to 1, not -0.1" },
    { { repetition_penalty = 0 }, "repetition_penalty must be above 0, not 0" },
    { { batch = 0 }, "batch must be at least 1, not 0" },
    { { stop = "" }, "a stop string is empty" },
    { { max_tokens = -1 }, "'max_tokens' must be an integer" },
  } do
    for _, generate in ipairs {
      function(options)
        model:generate("a", options)
      end,
      -- Before any row is looked at.
      function(options)
        lota.eval.generate(model, {}, options)
      end,
    } do
      test.raises(function()
        generate(wrong[1])
      end, wrong[2])
    end
  end
  test.raises(function()
    lota.eval.generate(model, {}, { max_prompt = 0 })
  end, "'max_prompt' must be at least 1, got 0")
end)

test.case("a saved model loads with the same bits, in shards too", function()
  local run = lota.run.start(os.tmpname() .. ".run")
  local files = model:save(run:path "saved", { shard = "20KB" })
  test.equal(#files > 4, true)
  local loaded = lota.model.load(run:path "saved")
  test.equal(loaded:fingerprint(), model:fingerprint())
  test.equal(loaded:tokenize "abc", model:tokenize "abc")
  test.raises(function()
    model:save(run:path "other", { shard = "many" })
  end, "500MB or 2GB")
end)
