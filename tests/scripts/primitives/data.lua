-- Examples and batches: rows of every kind, truncation, places in a stream.
local lota = require "lota"
local test = require "lota.test"

local model = lota.model.init "tiny"

test.case("rows are prompts and targets, whole texts, or tokens", function()
  local pairs_ = lota.data.examples(model, { { prompt = "ab", target = "c", extra = true } })
  local ids, stop = model:tokenize "abc", model:tokenizer():special().eos.id
  test.equal(pairs_:get(1), {
    tokens = { ids[1], ids[2], ids[3], stop },
    labels = { -100, -100, ids[3], stop },
  })
  local text = lota.data.examples(model, { { text = "abc" } }, { eos = false })
  test.equal(#text:get(1).labels, 3)
  local ready = lota.data.examples(model, { { tokens = { 1, 2, 3 }, labels = { -100, 2, 3 } } })
  test.equal(ready:get(1), { tokens = { 1, 2, 3 }, labels = { -100, 2, 3 } })
end)

test.case("bad rows are named", function()
  local function refused(row, text)
    test.raises(function()
      lota.data.examples(model, { { prompt = "a", target = "b" }, row })
    end, text)
  end
  refused({ prompt = "a" }, "[2]")
  refused({ prompt = 3, target = "x" }, "[2].prompt")
  refused({ tokens = { 1, 2 }, labels = { 1 } }, "as many labels as tokens")
  refused({ tokens = { 1, 2 }, labels = { 2, 2 } }, "not shifted")
  test.raises(function()
    lota.data.examples(model, { { prompt = "a", target = "b" } }, { bos = true })
  end, "names no bos token")
end)

local template = "{% for m in messages %}<{{ m.role }}>{{ m.content }}{{ eos_token }}{% endfor %}"
  .. "{% if add_generation_prompt %}<assistant>{% endif %}"
local asked, answered = { role = "user", content = "1+1=" }, { role = "assistant", content = "2" }

test.case("a conversation goes through the chat template, and its answer is learnt", function()
  local chatty = lota.model.init("tiny", { chat_template = template })
  local stop = chatty:tokenizer():special().eos.token
  local prompt = "<user>1+1=" .. stop .. "<assistant>"
  local by_hand = lota.data.examples(chatty, { { prompt = prompt, target = "2" } })
  local made = lota.data.examples(chatty, { { messages = { asked, answered } } })
  test.equal(made:get(1), by_hand:get(1))
  local given = lota.eval.generate(
    chatty,
    { { messages = { asked, answered } }, { messages = { asked } } },
    { max_tokens = 4 }
  )
  test.equal(given[1], given[2], "the answer is not given")
  test.equal(given[1], lota.eval.generate(chatty, { { prompt = prompt } }, { max_tokens = 4 })[1])
end)

test.case("a conversation that cannot be learnt is named by its row", function()
  local chatty = lota.model.init("tiny", { chat_template = template })
  local function refused(m, messages, text)
    for _, part in ipairs { "[2]", text } do
      test.raises(function()
        lota.data.examples(m, { { messages = { asked, answered } }, { messages = messages } })
      end, part)
    end
  end
  refused(chatty, { asked }, 'its role is "user"')
  refused(chatty, {}, "messages is empty")
  refused(chatty, { answered }, "nothing stands before")
  refused(chatty, { asked, { role = "assistant", content = "" } }, "nothing to learn")
  refused(chatty, "hello", "list of {role =, content =}")
  test.raises(function()
    lota.data.examples(model, { { messages = { asked, answered } } })
  end, "no chat template")
  test.raises(function()
    lota.data.examples(chatty:tokenizer(), { { messages = { asked, answered } } })
  end, "give the Model")
  local turned = "{{ messages | length }}{% for m in messages %}{{ m.content }}{% endfor %}"
  test.raises(function()
    lota.data.examples(lota.model.init("tiny", { chat_template = turned }), { { messages = { asked, answered } } })
  end, "write rows of prompt and target instead")
end)

test.case("what is cut is counted", function()
  local e = lota.data.examples(model, { { prompt = ("p"):rep(100), target = ("t"):rep(30) } }, {
    max_len = 60,
    max_prompt = 40,
  })
  local t = e:truncation()
  test.equal({ t.examples, t.prompts, t.prompt_tokens, t.targets, t.target_tokens }, { 1, 1, 60, 1, 11 })
  test.equal(e:tokens().longest, 60)
end)

test.case("sizes that no batch has are refused", function()
  local e = lota.data.examples(model, { { prompt = "one", target = "two" } })
  for _, wrong in ipairs {
    { { size = 0 }, "at least 1 example" },
    { { size = 0, packed = true }, "at least 1 example" },
    { { size = -1 }, "'size' must be an integer" },
    { { max_tokens = 0 }, "max_tokens" },
  } do
    test.raises(function()
      lota.data.batches(e, wrong[1])
    end, wrong[2])
  end
  for _, wrong in ipairs { { max_len = 0 }, { max_len = 4, max_prompt = 4 } } do
    test.raises(function()
      lota.data.examples(model, { { prompt = "one", target = "two" } }, wrong)
    end, "must be smaller than max_len")
  end
  for _, limited in ipairs { lota.eval.perplexity, lota.train.grad_scores, lota.stats.collect } do
    test.raises(function()
      limited(model, e, { limit = 0 })
    end, "option 'limit' must be at least 1, got 0")
  end
end)

local rows = {}
for i = 1, 10 do
  rows[i] = { prompt = ("x"):rep(i), target = tostring(i) }
end
local examples = lota.data.examples(model, rows)

test.case("every example comes once an epoch, the last batch too", function()
  local batches = lota.data.batches(examples, { size = 4, seed = 3 })
  local seen, count = {}, 0
  for _ = 1, batches:len() do
    for _, i in ipairs(batches:next():examples()) do
      seen[i] = (seen[i] or 0) + 1
      count = count + 1
    end
  end
  test.equal({ count, #seen }, { 10, 10 })
  test.equal(batches:state().epoch, 0)
end)

test.case("a stream goes on from a saved place, and only the same stream", function()
  local one = lota.data.batches(examples, { size = 3, seed = 3 })
  one:next()
  local state = one:state()
  local expected = one:next():tokens()
  local two = lota.data.batches(examples, { size = 3, seed = 3 })
  two:restore(state)
  test.equal(two:next():tokens(), expected)
  test.raises(function()
    lota.data.batches(examples, { size = 3, seed = 4 }):restore(state)
  end, "other options")
end)

test.case("perplexity counts tokens, not batches", function()
  local a = lota.eval.perplexity(model, lota.data.batches(examples, { size = 1 }))
  local b = lota.eval.perplexity(model, lota.data.batches(examples, { size = 7, packed = true }))
  test.near(a.loss, b.loss, 1e-5)
  test.equal(a.tokens, b.tokens)
  test.near(a.perplexity, math.exp(a.loss), 1e-6)
end)

test.case("a model whose weights are not numbers chooses nothing", function()
  local broken = model:clone()
  local name = broken:params()[1].name
  broken:set_param(name, broken:param(name):mul(0 / 0))
  test.raises(function()
    lota.eval.choice(broken, { { prompt = "a", choices = { "b", "c" }, answer = 1 } })
  end, "question 1 are not numbers")
end)

test.case("choices are judged by their own likelihood", function()
  local questions = {}
  for i = 1, 5 do
    questions[i] = { prompt = i .. "+1=", choices = { "2", "33", "444" }, answer = 1 + i % 3 }
  end
  local r = lota.eval.choice(model, questions)
  local right = 0
  for i, p in ipairs(r.predictions) do
    local best = math.max(table.unpack(r.scores[i]))
    test.equal(r.scores[i][p], best)
    right = right + (p == questions[i].answer and 1 or 0)
  end
  test.near(r.accuracy, right / 5, 1e-12)
  test.raises(function()
    lota.eval.choice(model, { { prompt = "a", choices = { "b" }, answer = 0 } })
  end, "answer 0")
end)

test.case("rows are read from JSON lines and CSV", function()
  local run = lota.run.start(os.tmpname() .. ".run")
  local json = run:write("a.jsonl", '{"q": "x", "n": 1}\n{"q": "y", "n": null}\n')
  test.equal(lota.data.read(json), { { q = "x", n = 1 }, { q = "y" } })
  local csv = run:write("a.csv", "q,n\nx,1\n")
  test.equal(lota.data.read(csv), { { q = "x", n = "1" } })
  test.raises(function()
    lota.data.read(run:write("a.bin", "x"))
  end, "format")
end)

test.case("the tensors of a file, all or by name", function()
  local run = lota.run.start(os.tmpname() .. ".run")
  local m = lota.model.init "tiny"
  m:save(run:path "m", { dtype = "bf16" })
  local path = run:path "m" .. "/model.safetensors"
  local all = lota.data.tensors(path)
  local up = "model.layers.0.mlp.up_proj.weight"
  test.equal(all[up], m:param(up):to "bf16")
  local few = lota.data.tensors(path, { names = { "*.0.mlp.up_proj.weight", "model.norm.*" } })
  local names = {}
  for name in pairs(few) do
    names[#names + 1] = name
  end
  table.sort(names)
  test.equal(names, { up, "model.norm.weight" })
  test.equal(lota.mask.from_tensors(m, few) <= lota.mask.match(m, { up, "model.norm.weight" }), true)
  test.equal(lota.data.metadata(path).format, "pt")
  test.raises(function()
    lota.data.tensors(path, { names = "*.nothing" })
  end, "matches no tensor of the file")
  test.raises(function()
    lota.data.tensors(run:write("no.safetensors", "not one"))
  end, "not a safetensors file")
end)
