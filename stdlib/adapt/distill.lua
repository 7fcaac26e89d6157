--- Distillation (Hinton et al. 2015, arXiv 1503.02531): the model learns the distributions of a teacher.
--
--   loss = (1 - hard) · T² · KL(softmax(t / T) || softmax(s / T)) + hard · cross-entropy
--
-- t and s are the logits of teacher and model at each target position of the task's rows, over the whole vocabulary, and T
-- is `temperature`. T² keeps the gradient of the first term as large as that of the second at any T. With `hard = 0`, the
-- default, the loss is 0 while model and teacher are the same.
--
-- `answers = "teacher"` learns at the teacher's own answers to the prompts instead of the task's targets (sequence-level
-- distillation, arXiv 1606.07947): sampled at temperature `sampling`, or with 0 the likeliest tokens, where the paper takes
-- the best of a beam search. An answer is read back as text, and ends where `max_tokens` cut it; an empty one is left out.
--
-- `teacher` must have the tokenizer of the model. What differs: the paper averages over a batch of images, here it is over
-- target positions. Changes `model` in place. Returns { rows = what was learnt from, losses = { adapt } }.

local lota = require "lota"
local options = require "lota.options"
local phase = require "lota.adapt.phase"

local defaults = options.with(phase.defaults, {
  teacher = { nil, "the model to learn from; needed", type = "Model" },
  temperature = { 2.0, "what the logits of both are divided by", above = 0 },
  hard = { 0.0, "the share of cross-entropy, on hard targets, in the loss", least = 0, most = 1 },
  answers = {
    "task",
    "whose answers are learnt from: the task's targets or the teacher's",
    choices = { "task", "teacher" },
  },
  sampling = { 1.0, "temperature at which the teacher answers; 0 takes the likeliest tokens", least = 0 },
  max_tokens = { 128, "how long an answer of the teacher may get", least = 1 },
  params = { "all", "the parameters that may change: a name, a glob, a list, a function(parameter) → boolean" },
})

--- The rows of a task with the teacher's answers as targets.
local function answered(task, o)
  local answers = lota.eval.generate(o.teacher, task.train, {
    max_tokens = o.max_tokens,
    temperature = o.sampling,
    batch = o.batch,
    seed = o.seed,
  })
  local rows = {}
  for i, row in ipairs(task.train) do
    if answers[i] ~= "" and row.messages then
      local messages = table.move(row.messages, 1, #row.messages - 1, 1, {})
      messages[#messages + 1] = { role = "assistant", content = answers[i] }
      rows[#rows + 1] = { messages = messages }
    elseif answers[i] ~= "" then
      rows[#rows + 1] = { prompt = row.prompt, target = answers[i] }
    end
  end
  if #rows == 0 then
    error("adapt.distill: the teacher's answers are all empty", 3)
  end
  return { name = task.name, train = rows }
end

--- The loss at each row of logits.
local function divergence(o)
  local t, hard = o.temperature, o.hard
  return function(logits, rows)
    local teacher, student = rows:logits(o.teacher) / t, logits / t
    local soft = teacher:log_softmax():kl(student:log_softmax()) * ((1 - hard) * t ^ 2)
    return hard == 0 and soft or soft - rows:pick(logits:log_softmax()) * hard
  end
end

return function(model, task, given)
  local o = options.read("adapt.distill", defaults, given)
  if phase.kind(o.teacher) ~= "Model" then
    error("adapt.distill: option `teacher` must be a Model, got a " .. phase.kind(o.teacher), 2)
  elseif o.teacher == model then
    error("adapt.distill: option `teacher` is the model itself; give a clone, which stays as it is", 2)
  end
  phase.check_own_loss("adapt.distill", o)
  phase.check("adapt.distill", model, { task }, o)
  if o.dry_run then
    return o
  end
  local learnt = o.answers == "teacher" and answered(task, o) or task
  local settings = options.with(o, { loss = { on = "logits", fn = divergence(o) } })
  local losses = phase.train("adapt", model, learnt, o.params, settings)
  return { rows = learnt.train, losses = { adapt = losses } }
end
