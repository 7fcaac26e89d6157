-- lota.tasks: the built-in families, and how answers are judged.
local adapt = require "lota.adapt"
local scoring = require "lota.tasks.scoring"
local tasks = require "lota.tasks"
local test = require "lota.test"
local words = require "lota.tasks.words"
local lota = require "lota"

test.case("a row that the model cannot take is told by its file and number", function()
  local run = lota.run.start(os.tmpname() .. "-rows-of-a-file")
  local message = '{"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]}\n'
  local path = run:write("rows.jsonl", message:rep(4))
  local strict = lota.model.init("tiny", { chat_template = "{{ raise_exception('no such roles') }}" })
  local task = tasks.open("jsonl:" .. path)
  local ok, why = pcall(adapt.fft, strict, task, { dry_run = true })
  assert(not ok and tostring(why):find("rows%.jsonl: row %d: .*no such roles"), tostring(why))
end)

test.case("a family is the same for the same seed and another for another", function()
  local a, b = tasks.open("sort", { train = 20, test = 5 }), tasks.open("sort", { train = 20, test = 5 })
  test.equal(a.train, b.train)
  test.equal(a.test, b.test)
  local c = tasks.open("sort", { train = 20, test = 5, seed = 1 })
  test.equal(a.train[1].prompt == c.train[1].prompt, false)
end)

test.case("no test prompt is trained on", function()
  for _, name in ipairs({ "add", "mirror", "nines" }) do
    local task, seen = tasks.open(name, { train = 500, test = 100 }), {}
    for _, row in ipairs(task.train) do
      seen[row.prompt] = true
    end
    for _, row in ipairs(task.test) do
      test.equal(seen[row.prompt], nil, row.prompt)
    end
  end
end)

test.case("every family does what its description says, on an example worked by hand", function()
  local function letters(text)
    local at = 0
    return {
      below = function(_, n)
        if n == 3 then
          return 1 -- letters, where a family also takes digits
        end
        at = at + 1
        -- The first draw is the length; what families draw after it are letters or digits.
        return at == 1 and #text - 3 or (n == 26 and text:byte(at - 1) - 97 or tonumber(text:sub(at - 1, at - 1)))
      end,
    }
  end
  local expected = {
    copy = "kayak",
    upper = "KAYAK",
    next = "lbzbl",
    previous = "jzxzj",
    double = "kkaayyaakk",
    dash = "k-a-y-a-k",
    reverse = "kayak",
    rotate = "ayakk",
    ends = "kk",
    sort = "aakky",
    mirror = "KAYAK",
    skip = "kyk",
    swap = "kayak",
    leap = "mcacm",
    atbash = "pzbzp",

    march = "bzbll",
  }
  for name, output in pairs(expected) do
    test.equal(words.example(name, letters "kayak"), { prompt = name .. " kayak=", target = output })
  end
  test.equal(words.example("mirror", letters "abc").target, "CBA")
  test.equal(words.example("nines", letters "0479").target, "9520")
  test.equal(words.example("unrotate", letters "0479").target, "9047")
  test.equal(words.example("plunge", letters "0479").target, "8639")
end)

test.case("answers are cut out as in the published evaluation", function()
  test.equal(scoring.number "so 3 + 4. The final answer is:  1,234 apples, not 9", 1234)
  test.equal(scoring.number "first 3, then 7", 7)
  test.equal(scoring.number "5 or 6. The final answer is: unknown", 6)
  test.equal(scoring.number "none", nil)
  test.equal(scoring.number "The final answer is: -2.5", -2.5)
  test.equal(scoring.number "The final answer is:  $1,250.50.", 1250.5)
  test.equal(scoring.number "The final answer is: 72.", 72)
  test.equal(scoring.number "The final answer is: 3\nThe final answer is: 4", 3)
  test.equal(scoring.number "The final answer is:5, or was it 6", 6)
  test.equal(scoring.number "72.0" == scoring.number "72", true)
  test.equal(scoring.number "", nil)
  test.near(scoring.word_f1("select a from b", "SELECT a FROM c"), 0.75, 1e-12)
  test.equal(scoring.word_f1("", "x"), 0)
end)

test.case("an unknown task names the nearest one, and a data set wants its folder", function()
  test.raises(function()
    tasks.open "mirorr"
  end, "did you mean `mirror`?")
  test.raises(function()
    tasks.open "gsm8k"
  end, "needs its folder")
  test.raises(function()
    tasks.open "mirror:somewhere"
  end, "takes no path")
end)

test.case("a row that lacks something is told by its file and number", function()
  local folder = lota.run.start(os.tmpname() .. "-rows")
  local path = folder:write("train.jsonl", '{"question": "q", "answer": "#### 1"}\n{"question": "q"}\n')
  test.raises(function()
    tasks.open("gsm8k:" .. folder:dir())
  end, path .. ": row 2 has no `answer`")
  local row = '{"question": "q", "choices": {"text": ["x"], "label": ["A"]}, "answerKey": "B"}\n'
  folder:write("train.jsonl", row)
  test.raises(function()
    tasks.open("arc:" .. folder:dir())
  end, path .. ": row 1: no choice has the label `B`")
  folder:write("train.jsonl", row .. '{"question": broken}\n')
  test.raises(function()
    tasks.open("arc:" .. folder:dir())
  end, path .. ": line 2")
end)

local own = lota.run.start(os.tmpname() .. "-own")

test.case("no test rows is an error, not a score", function()
  local path = own:write("untested.lua", "return { train = { { prompt = 'a', target = 'b' } } }")
  test.raises(function()
    tasks.open(path).score(lota.model.builtin())
  end, "no test rows")
end)

local function jsonl(list)
  for i, row in ipairs(list) do
    list[i] = lota.json.encode(row)
  end
  return table.concat(list, "\n") .. "\n"
end
local function numbered(count)
  local list = {}
  for i = 1, count do
    list[i] = { prompt = i .. "=", target = tostring(i + 1), note = "more" }
  end
  return list
end

test.case("rows of your own: a folder keeps its split, a file is split by the seed", function()
  own:write("both/train.jsonl", jsonl(numbered(5)))
  own:write("both/test.jsonl", jsonl(numbered(2)))
  local folder = tasks.open("jsonl:" .. own:dir() .. "/both")
  test.equal({ folder.name, #folder.train, #folder.test }, { "both", 5, 2 })
  test.equal(folder.train[5], { prompt = "5=", target = "6" })
  test.raises(function()
    tasks.open("jsonl:" .. own:dir() .. "/both", { held_out = 2 })
  end, "option `held_out` is for a single file")
  local path = own:write("one.jsonl", jsonl(numbered(40)))
  local one = tasks.open("jsonl:" .. path)
  test.equal({ one.name, #one.train, #one.test }, { "one", 36, 4 })
  test.equal(one.test, tasks.open("jsonl:" .. path).test, "the same seed")
  test.equal(one.test[1].prompt == tasks.open("jsonl:" .. path, { seed = 1 }).test[1].prompt, false)
  test.equal(#tasks.open("jsonl:" .. path, { held_out = 10 }).test, 10)
  local seen = {}
  for _, list in ipairs { one.train, one.test } do
    for _, row in ipairs(list) do
      seen[row.prompt] = (seen[row.prompt] or 0) + 1
    end
  end
  for i = 1, 40 do
    test.equal(seen[i .. "="], 1, "row " .. i)
  end
  own:write("c.csv", "prompt,target\na,b\nc,d\n")
  test.equal(#tasks.open("csv:" .. own:dir() .. "/c.csv").train, 1)
end)

test.case("a bad row of your own is told by its file and number", function()
  local function refused(row, text)
    local path = own:write("bad.jsonl", jsonl { { prompt = "a", target = "b" }, row })
    for _, part in ipairs { path .. ": row 2: ", text } do
      test.raises(function()
        tasks.open("jsonl:" .. path)
      end, part)
    end
  end
  refused({ prompt = "a" }, "no `target`")
  refused({ question = "a" }, "no `prompt`")
  refused({ prompt = "a", target = 3 }, "`target` must be a text")
  refused({ prompt = "a", target = "" }, "nothing to learn")
  refused({ messages = {} }, "not an empty one")
  refused({ messages = { { role = "user", content = "a" } } }, "its role is `user`")
  refused({ messages = { { role = "user" } } }, "message 1")
  test.raises(function()
    tasks.open("jsonl:" .. own:write("none.jsonl", ""))
  end, "there are no rows")
  test.raises(function()
    tasks.open("jsonl:" .. own:write("single.jsonl", jsonl(numbered(1))))
  end, "left to train on")
  own:write("half/train.jsonl", jsonl(numbered(3)))
  test.raises(function()
    tasks.open("jsonl:" .. own:dir() .. "/half")
  end, "half/train.jsonl as one file")
  test.raises(function()
    tasks.open "jsonl"
  end, "needs its file or folder")
end)

test.case("data that is given without its format is told how to write it", function()
  own:write("bare/train.jsonl", jsonl(numbered(3)))
  own:write("bare.csv", "prompt,target\na,b\n")
  local function refused(spec, text)
    test.raises(function()
      tasks.open(spec)
    end, text)
  end
  refused(own:dir() .. "/bare", ("%s/bare is a folder: write jsonl:%s/bare"):format(own:dir(), own:dir()))
  refused(own:dir() .. "/bare.csv", ("%s/bare.csv is a file: write csv:%s/bare.csv"):format(own:dir(), own:dir()))
  refused({}, 'expected the name of a task, as in tasks.open "skip", got a table')
end)

test.case("messages anywhere in the rows are told by their place, where the model has no chat template", function()
  local list = numbered(3)
  list[3] = { messages = { { role = "user", content = "a" }, { role = "assistant", content = "b" } } }
  own:write("mixed/train.jsonl", jsonl(list))
  own:write("mixed/test.jsonl", jsonl(numbered(2)))
  local task = tasks.open("jsonl:" .. own:dir() .. "/mixed")
  test.raises(function()
    tasks.check(lota.model.init "tiny", { task })
  end, own:dir() .. "/mixed/train.jsonl: row 3 has messages")
end)

test.case("a Lua file is a task", function()
  local path = own:write(
    "mine.lua",
    [[return {
    train = { { prompt = "a", target = "b" } },
    test = { { prompt = "a", target = "b" }, { prompt = "c", target = "" .. "d" } },
    max_tokens = 2,
    judge = function() return 0.5 end,
  }]]
  )
  local task = tasks.open(path)
  test.equal({ task.name, #task.train, task.max_tokens, task.metric }, { "mine", 1, 2, "score" })
  test.equal((task.score(lota.model.builtin())), 0.5)
  local with =
    own:write("with.lua", "return function(o) return { train = { { prompt = 'a', target = o.word or 'x' } } } end")
  test.equal(tasks.open(with, { word = "y" }).train[1].target, "y")
  test.equal(tasks.open(with).train[1].target, "x")
  local function refused(source, text)
    test.raises(function()
      tasks.open(own:write("wrong.lua", source))
    end, text)
  end
  refused("return 3", "must return a task")
  refused("return { tran = {} }", "did you mean `train`?")
  refused("return { train = {} }", "not an empty one")
  refused("return { train = { { prompt = 'a' } } }", "row 1 of `train`: it has no `target`")
  refused("return {", "wrong.lua:1")
  test.raises(function()
    tasks.open "no-such-file.lua"
  end, "no-such-file.lua")
end)

test.case("messages go through the chat template, and plain prompts get a notice", function()
  local template = "{% for m in messages %}<{{ m.role }}>{{ m.content }}{{ eos_token }}{% endfor %}"
    .. "{% if add_generation_prompt %}<assistant>{% endif %}"
  local chatty, plain = lota.model.init("tiny", { chat_template = template }), lota.model.init "tiny"
  local task = tasks.chat(tasks.open(own:dir() .. "/mine.lua"))
  test.equal(task.train[1].messages, { { role = "user", content = "a" }, { role = "assistant", content = "b" } })
  test.equal((task.score(chatty)), 0.5)
  local stop = chatty:tokenizer():special().eos.token
  local learnt = lota.data.examples(chatty, task.train):get(1)
  test.equal(chatty:detokenize(learnt.tokens, { special = true }), "<user>a" .. stop .. "<assistant>b" .. stop)
  test.raises(function()
    tasks.check(plain, { task })
  end, "no chat template")
  local sort = tasks.open("sort", { train = 2, test = 1 })
  test.equal(tasks.check(chatty, { task }), nil)
  test.equal(tasks.check(plain, { sort }), nil)
  test.equal(tasks.check(chatty, { task, sort, sort }):find("prompts of sort and sort do not", 1, true) ~= nil, true)
end)

local shared = os.getenv "LOTA_TEST_SHARED"
if shared then
  test.case("GSM8K rows are the texts of the reference", function()
    local task = tasks.open("gsm8k:" .. shared .. "/data/gsm8k")
    local reference = lota.data.read(shared .. "/oracles/examples_gsm8k.json")
    test.equal({ #task.train, #task.test }, { 7473, 1319 })
    for i, row in ipairs(reference) do
      test.equal(task.train[i].prompt, row.prompt)
      test.equal(task.train[i].target, row.target)
    end
  end)

  test.case("ARC and SQL rows have the published form", function()
    local arc = tasks.open("arc:" .. shared .. "/data/arc")
    test.equal({ #arc.train, #arc.test }, { 1119, 1172 })
    test.equal(arc.train[1].target, "The final answer is: A: dry palms")
    local question =
      "George wants to warm his hands quickly by rubbing them. Which skin surface will produce the most heat?"
    local prompt = "Answer the following #Question given the possible #Choices which are separated by commas. First think step"
      .. " by step and then give the final answer.\n#Question: "
      .. question
      .. "\nChoices: A: dry palms, B: wet palms, C: palms covered with oil, D: palms covered with lotion"
    test.equal(arc.train[1].prompt, prompt)
    local sql = tasks.open("sql:" .. shared .. "/data/sql")
    test.equal({ #sql.train, #sql.test }, { 14716, 1000 })
    test.equal(sql.train[1].target, 'The final answer is: SELECT COUNT(*) FROM Staff WHERE first_name = "Ludie"')
  end)
end

test.case("a judge gives a number from 0 to 1", function()
  local rows = require "lota.tasks.rows"
  local list = { { prompt = "a", target = "b" } }
  for text, judged in pairs { ["it returned 2 for row 1"] = 2, ["it returned true"] = true, ["it returned -1"] = -1 } do
    local task = rows.task("odd", "odd", {
      train = list,
      test = list,
      max_tokens = 1,
      judge = function()
        return judged
      end,
    })
    test.raises(function()
      task.score(lota.model.builtin())
    end, text)
  end
end)
