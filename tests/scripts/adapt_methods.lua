-- no twin: the methods and scores under test are Lua's alone
-- What defines each method and each score, on a small random model: laws, not values of a loss.
local adapt = require "lota.adapt"
local lota = require "lota"
local options = require "lota.options"
local scores = require "lota.scores"
local tasks = require "lota.tasks"
local test = require "lota.test"

local model = lota.model.init("tiny", { seed = 1 })
local base, fingerprint = model:snapshot(), model:fingerprint()
local first = tasks.open("mirror", { train = 32, test = 8 })
local second = tasks.open("nines", { train = 32, test = 8 })
local quick = { steps = 3, lr = 1e-3, batch = 4, max_len = 64, max_prompt = 32 }

local function with(more)
  return options.with(quick, more)
end

local function stream(task)
  local examples = lota.data.examples(model, task.train, { max_len = 64, max_prompt = 32 })
  return lota.data.batches(examples, { size = 4, seed = 1 })
end

local Q = "model.layers.0.self_attn.q_proj.weight"

test.case("movement is -w · g with its sign, and its magnitude on one batch is SNIP's saliency", function()
  local o = { limit = 1, params = Q }
  local moved, saliency = scores.movement(model, stream(first), o), scores.weight_gradient(model, stream(first), o)
  test.near((moved:abs() - saliency:abs()):norm() / saliency:norm(), 0, 1e-6)
  -- The derivative of the loss as the whole matrix shrinks, by definition.
  local trainer = lota.train.new(model, { params = Q })
  local g = trainer:gradients(stream(first):epoch()[1])
  test.near(moved:sum(), -g:dot(lota.values.weights(model, { params = Q })), 1e-5)
end)

test.case("gem is the gradient over the weight; gallop has scores at small weights alone", function()
  local o = { limit = 2, params = Q }
  local g, w = scores.gradient(model, stream(first), o), lota.values.weights(model, { params = Q }):abs()
  local gem = scores.gem(model, stream(first), options.with(o, { eps = 1e-6 }))
  test.near((gem * (w + 1e-6) - g:abs()):norm() / g:norm(), 0, 1e-5)
  local gallop = scores.gallop(model, stream(first), options.with(o, { small = 0.25 }))
  local chosen, total = lota.mask.support(gallop), w:count()
  assert(w:within(chosen):max() <= w:within(lota.mask.complement(chosen, { within = w:mask() })):min())
  test.near(chosen:count() / total, 0.25, 2 / total)
  test.equal((gallop:within(chosen) - g:abs():within(chosen)):norm(), 0)
end)

test.case("lift scores a matrix by its approximation of a rank", function()
  local w = model:param(Q):to "f32"
  local whole = scores.lift(model, { rank = 1000, params = Q }):of(Q)
  test.near((whole - w:abs()):norm():item() / w:norm():item(), 0, 1e-5)
  local one = scores.lift(model, { rank = 1, params = Q }):of(Q)
  local s = one:svd()[2]:totable()
  assert(s[2] < 1e-5 * s[1], "magnitudes of a matrix of rank 1 have rank 1")
  test.near(s[1], w:svd()[2]:totable()[1], 1e-4 * s[1])
  test.equal(#scores.lift(model, { params = { Q, "model.norm.weight" } }):names(), 1)
end)

test.case("lota takes a count, densities of layers and parameters, or a mask that select makes", function()
  local o = with { calibration_steps = 1 }
  local function mask(more)
    local made = adapt.lota(model, first, options.with(o, more)).mask
    model:restore(base)
    return made
  end
  test.equal(mask({ count = 77 }):count(), 77)
  local wanted = { 0.02, 0.05 }
  local chosen = mask({ density = wanted })
  for layer, density in ipairs(wanted) do
    local within = lota.mask.all(model, {
      params = function(parameter)
        return parameter.name:find("^model%.layers%." .. layer - 1 .. "%..*_proj") ~= nil
      end,
    })
    test.near(chosen:density { within = within }, density, 1e-3)
  end
  local by = mask({
    density = function(parameter)
      return parameter.name == Q and 0.5 or 0
    end,
  }):by "parameter"
  test.equal(by[Q], math.floor(0.5 * model:param(Q):count() + 0.5))
  local drawn = mask({
    select = function(moved, of)
      assert(of == model and moved:max() > 0)
      return lota.mask.from_scores(moved, { count = 9, within = lota.mask.match(of, Q) })
    end,
  })
  test.equal({ drawn:count(), drawn:by("parameter")[Q] }, { 9, 9 })
end)

test.case("what select and the budget may not be is told", function()
  local function refused(more, text)
    test.raises(function()
      adapt.lota(model, first, options.with(with { calibration_steps = 1 }, more))
    end, text)
    test.equal(model:fingerprint(), fingerprint)
  end
  local taken = lota.mask.random(model, { density = 0.01 })
  refused({
    avoid = taken,
    select = function()
      return taken
    end,
  }, "that `avoid` holds")
  refused({
    select = function(_, of)
      return lota.mask.none(of)
    end,
  }, "a mask of no entries")
  refused({
    select = function()
      return 3
    end,
  }, "must return a Mask, it returned a number")
  refused({ count = 5, density = 0.1 }, "not both")
  refused({ density = "much" }, "or a table or a function")
  refused({ density = { 0.1 } }, "adapt.lota")
end)

test.case("losses after a resume are those of all steps", function()
  local whole = adapt.lota(model, first, with { calibration_steps = 2, density = 0.05 })
  model:restore(base)
  local folder = os.tmpname() .. "-losses"
  local o = with { calibration_steps = 2, density = 0.05, save_to = folder }
  for _, stop in ipairs { { "calibrate", 2 }, { "adapt", 2 }, { "adapt", 3 } } do
    test.raises(function()
      adapt.lota(
        model,
        first,
        options.with(o, {
          save_every = 1,
          resume = true,
          on_step = function(info, phase)
            if phase == stop[1] and info.step == stop[2] then
              error "stopped"
            end
          end,
        })
      )
    end, "stopped")
    model:restore(base)
  end
  local resumed = adapt.lota(model, first, options.with(o, { resume = true }))
  model:restore(base)
  test.equal(resumed.losses, whole.losses)
  test.raises(function()
    adapt.lota(model, first, o)
  end, "holds a run already")
  test.equal(model:fingerprint(), fingerprint)
end)

--- What a method leaves of the model: how far it moved, its bits, and its result; the model is put back.
local function after(method, task, more)
  local result = method(model, task, with(more or {}))
  local moved, bits = model:delta(base), model:fingerprint()
  model:restore(base)
  return moved, bits, result
end

test.case(
  "a penalty of no strength is plain training; one of a huge strength holds the weights where it counts",
  function()
    local _, plain, full = after(adapt.fft, first)
    local earlier = { second }
    local ewc = { earlier = earlier, fisher_rows = 4 }
    local _, free, result = after(adapt.ewc, first, options.with(ewc, { strength = 0 }))
    test.equal({ free, result.losses }, { plain, full.losses })
    test.equal(select(2, after(adapt.l2sp, first, { strength = 0 })), plain)

    local sgd = { optimizer = "sgd", momentum = 0, lr = 1e-3, steps = 30 }
    local loose = after(adapt.l2sp, first, options.with(sgd, { strength = 0 })):norm()
    local held = after(adapt.l2sp, first, options.with(sgd, { strength = 500 })):norm()
    assert(held < 0.3 * loose, ("%g of %g"):format(held, loose))

    -- EWC holds what has information most: the weighted distance shrinks more than the plain one.
    local fisher = result.fisher
    local function distances(strength)
      local moved = after(adapt.ewc, first, options.with(options.with(sgd, ewc), { strength = strength }))
      return (fisher * moved:square()):sum() / moved:norm() ^ 2
    end
    assert(distances(1) < distances(0))
  end
)

test.case("ewc's information is the mean over sequences of squared gradients of their log-likelihood", function()
  local _, _, result = after(adapt.ewc, first, { earlier = { second }, fisher_rows = 3, steps = 1 })
  local examples = lota.data.examples(model, second.train, { max_len = 64, max_prompt = 32 })
  local one_each = lota.data.batches(examples, { size = 1, seed = 0 })
  local trainer = lota.train.new(model, {
    loss = function(logp)
      return logp:sum()
    end,
  })
  local sum
  for _ = 1, 3 do
    local g = trainer:gradients(one_each:next()):square()
    sum = sum and sum + g or g
  end
  test.near((result.fisher - sum / 3):norm() / sum:norm(), 0, 1e-5)
  local _, _, added =
    after(adapt.ewc, first, { fisher = result.fisher, earlier = { second }, fisher_rows = 3, steps = 1 })
  test.near(added.fisher:sum() / result.fisher:sum(), 2, 1e-5)
  test.raises(function()
    adapt.ewc(model, first, quick)
  end, "option `earlier`")
end)

test.case("replay mixes in as many earlier rows as asked, and with none of them is plain training", function()
  local plain = select(2, after(adapt.fft, first))
  local _, bits, none = after(adapt.replay, first, { earlier = { second }, fraction = 0 })
  test.equal({ bits, none.replayed }, { plain, 0 })
  local _, other, some = after(adapt.replay, first, { earlier = { second }, fraction = 0.2 })
  test.equal(some.replayed, 8, "8 of 40 rows")
  assert(other ~= plain)
  test.raises(function()
    adapt.replay(model, first, with { earlier = { second }, fraction = 0.9 })
  end, "288 rows of earlier tasks, which have 32")
end)

test.case("a projected gradient has nothing against the other, and one without conflict stays", function()
  local project = require "lota.adapt.project"
  local trainer = lota.train.new(model)
  local g, r = trainer:gradients(stream(first):next()), trainer:gradients(stream(second):next())
  if g:dot(r) < 0 then
    r = -r
  end
  local same, conflict = project.away(g, r)
  test.equal({ (same - g):norm(), conflict }, { 0, false })
  local turned, against = project.away(g, -r)
  test.equal(against, true)
  assert(turned:dot(-r) >= -1e-6 * g:norm() * r:norm())
  -- Only the part along r is gone.
  test.near((g - turned):dot(r), (g - turned):norm() * r:norm(), 1e-5 * g:norm() * r:norm())
end)

test.case("agem without conflicts is plain training, and with one it doesn't follow the gradient", function()
  local _, plain = after(adapt.fft, first)
  local _, bits, result = after(adapt.agem, first, { earlier = { first } })
  test.equal({ bits, result.conflicts }, { plain, 0 }, "the same task, the same batches")
end)

test.case("sam without a radius is plain training, and with one it is not", function()
  local _, plain, full = after(adapt.fft, first)
  local _, bits, result = after(adapt.sam, first, { rho = 0 })
  test.equal({ bits, result.losses }, { plain, full.losses })
  local _, other, sharp = after(adapt.sam, first, { rho = 0.5 })
  assert(other ~= plain)
  test.equal(sharp.losses.adapt[1], full.losses.adapt[1], "the loss is that before going uphill")
end)

local sparse = { density = 0.02, steps = 4, calibration_steps = 1 }

test.case("iterative tickets: one round is lota, and masks of more rounds contain each other", function()
  local _, lottery, one = after(adapt.lota, first, sparse)
  local _, bits, single = after(adapt.iterative, first, options.with(sparse, { rounds = 1 }))
  test.equal({ bits, single.mask == one.mask, single.losses }, { lottery, true, one.losses })
  local moved, grown, result = after(adapt.iterative, first, options.with(sparse, { rounds = 3 }))
  local size = one.mask:count()
  for round, mask in ipairs(result.masks) do
    test.equal(mask:count(), math.floor(size * round / 3 + 0.5))
    test.equal(mask:subset(result.masks[round + 1] or result.mask), true)
  end
  test.equal(lota.mask.support(moved):subset(result.mask), true)
  local applied = result.ticket:apply(model)
  test.equal(model:fingerprint(), grown, "the ticket applied to the start")
  applied:unapply()
end)

test.case("spiel keeps its size, and the values and memory of what stays; what it drops goes back", function()
  local changes, last = 0, nil
  local o = { density = 0.02, steps = 6, every = 2, churn = 0.5, growth_batches = 1, optimizer = "adamw" }
  local size = math.floor(0.02 * lota.mask.all(model, { params = "adaptable" }):count() + 0.5)
  o.on_step = function(info)
    last = info
  end
  o.on_change = function(trainer, mask, dropped, grown)
    changes = changes + 1
    test.equal({ mask:count(), trainer:info().entries }, { size, size })
    test.equal(dropped:count(), math.floor(0.5 * (1 - 2 * changes / 6) * size + 0.5))
    test.equal({ mask:disjoint(dropped), grown:subset(mask), trainer:info().step }, { true, true, 2 * changes })
    test.equal(
      lota.mask.support(model:delta(base)):subset(mask - grown),
      true,
      "only what stays differs from the start"
    )
    for _, moment in pairs(trainer:moments()) do
      test.equal(moment:within(grown):norm(), 0)
      assert(moment:within(mask - grown):norm() > 0)
    end
  end
  local moved, bits, result = after(adapt.spiel, first, o)
  test.equal({ changes, last.step, #result.losses.adapt, result.mask:count() }, { 2, 6, 6, size })
  test.equal(lota.mask.support(moved):subset(result.mask), true)
  result.ticket:apply(model)
  test.equal(model:fingerprint(), bits)
  model:restore(base)
  local plain = select(2, after(adapt.random, first, { density = 0.02 }))
  test.equal(select(2, after(adapt.spiel, first, { density = 0.02, churn = 0 })), plain, "no churn is a random mask")
end)

test.case("dpo starts at log 2, and prefers what it is told to", function()
  local preferences = { name = "order", train = {} }
  for i = 1, 16 do
    preferences.train[i] = { prompt = i .. "+1=", chosen = tostring(i + 1), rejected = i .. " and one" }
  end
  local function margin()
    local total = 0
    for _, row in ipairs(preferences.train) do
      for target, sign in pairs { [row.chosen] = 1, [row.rejected] = -1 } do
        local examples = lota.data.examples(model, { { prompt = row.prompt, target = target } })
        total = total + sign * model:logp(lota.data.batches(examples, { size = 1 }):next()):sum():item()
      end
    end
    return total
  end
  local before = margin()
  local mask = lota.mask.random(model, { density = 0.05 })
  local result = adapt.dpo(model, preferences, with { steps = 4, mask = mask, beta = 0.5, accumulate = 2 })
  local learned, moved = margin(), model:delta(base)
  model:restore(base)
  test.near(result.losses.adapt[1], math.log(2), 1e-5)
  assert(learned > before + 1, ("%g after %g"):format(learned, before))
  test.equal(lota.mask.support(moved):subset(mask), true)
  -- Swapping all pairs turns the first step around.
  local sgd = { steps = 1, optimizer = "sgd", momentum = 0, lr = 0.1 }
  local there = after(adapt.dpo, preferences, sgd)
  for _, row in ipairs(preferences.train) do
    row.chosen, row.rejected = row.rejected, row.chosen
  end
  local back = after(adapt.dpo, preferences, sgd)
  test.near((there + back):norm() / there:norm(), 0, 1e-3)
  test.raises(function()
    adapt.dpo(model, first, quick)
  end, "row 1 of the task must be { prompt =, chosen =, rejected = }, it has no `chosen`")
end)

test.case("distilling from a clone has nothing to learn; the model moves to another teacher's distributions", function()
  local same = { name = "mirror", train = table.move(first.train, 1, 8, 1, {}) }
  local still = { teacher = model:clone(), optimizer = "sgd", momentum = 0, lr = 0.1, steps = 1 }
  for _, answers in ipairs { "task", "teacher" } do
    local o = options.with(still, { answers = answers, max_tokens = 8 })
    local _, _, result = after(adapt.distill, same, o)
    test.near(result.losses.adapt[1], 0, 1e-6)
  end
  local teacher = model:clone()
  adapt.fft(teacher, second, with { steps = 20 })
  local kept = teacher:fingerprint()
  local batch = lota.data.batches(lota.data.examples(model, same.train), { size = 8 }):next()
  --- The divergence from the teacher, at temperature 1, over all positions.
  local function distance(student)
    local t, s = teacher:logits(batch):log_softmax(), student:logits(batch):log_softmax()
    return t:kl(s):mean():item()
  end
  local before = distance(model)
  for _, answers in ipairs { "task", "teacher" } do
    local o = with { teacher = teacher, answers = answers, max_tokens = 8, steps = 12, sampling = 0 }
    local result = adapt.distill(model, same, o)
    assert(result.losses.adapt[12] < result.losses.adapt[1])
    assert(distance(model) < 0.8 * before, answers)
    model:restore(base)
  end
  test.equal(teacher:fingerprint(), kept, "the teacher")
  -- All of it cross-entropy is fine-tuning.
  local o = with { steps = 3 }
  local plain = adapt.fft(model, same, o).losses.adapt
  model:restore(base)
  local _, _, hard = after(adapt.distill, same, options.with(o, { teacher = teacher, hard = 1 }))
  for i, loss in ipairs(plain) do
    test.near(hard.losses.adapt[i], loss, 1e-3)
  end
  test.raises(function()
    adapt.distill(model, same, with { teacher = model })
  end, "the model itself")
end)

test.case("a step of agem goes up the loss of no memory, where a plain one does", function()
  local yes, no = { name = "yes", train = {} }, { name = "no", train = {} }
  for i = 1, 16 do
    yes.train[i] = { prompt = i .. "+1=", target = "yes" }
    no.train[i] = { prompt = i .. "+1=", target = "no" }
  end
  adapt.fft(model, yes, with { steps = 20 })
  local start = model:snapshot()
  local memory = lota.data.batches(lota.data.examples(model, yes.train), { size = 4, seed = 0 }):next()
  local trainer = lota.train.new(model)
  local r = trainer:gradients(memory)
  trainer:close()
  local sgd = with { steps = 1, optimizer = "sgd", momentum = 0, lr = 0.01 }
  adapt.fft(model, no, sgd)
  local plain = model:delta(start)
  model:restore(start)
  local result = adapt.agem(model, no, options.with(sgd, { earlier = { yes } }))
  local turned = model:delta(start)
  model:restore(base)
  test.equal(result.conflicts, 1)
  assert(plain:dot(r) > 0, "the tasks conflict")
  assert(turned:dot(r) < 1e-3 * plain:dot(r), ("%g of %g"):format(turned:dot(r), plain:dot(r)))
  assert(turned:norm() > 0)
end)

test.case("what a method cannot take is refused before its first step", function()
  local earlier = { second }
  local function refused(method, more, text, task)
    test.raises(function()
      method(model, task or first, with(more))
    end, text)
    test.equal(model:fingerprint(), fingerprint)
  end
  for _, method in ipairs { adapt.sam, adapt.agem, adapt.spiel } do
    refused(
      method,
      { save_to = "x", earlier = method == adapt.agem and earlier or nil },
      "option `save_to` is not for this"
    )
  end
  for _, method in ipairs { adapt.ewc, adapt.agem, adapt.replay } do
    refused(method, { earlier = {} }, "option `earlier` must be a list of tasks")
    refused(method, { earlier = { {} } }, "option `earlier`: task 1 has no rows")
  end
  refused(adapt.ewc, { fisher = 3 }, "option `fisher` must be a Values, got 3")
  refused(adapt.ewc, { earlier = earlier, strength = -1 }, "option `strength`")
  refused(adapt.l2sp, { anchor = model }, "option `anchor` must be a Values")
  refused(adapt.l2sp, { anchor = lota.values.weights(model, { params = Q }) }, "no value for some trained entries")
  refused(adapt.dpo, { mask = "all" }, "option `mask` must be a Mask")
  refused(adapt.distill, {}, "option `teacher` must be a Model, got a nil")
  refused(adapt.iterative, { rounds = 0 }, "option `rounds`")
  refused(adapt.spiel, { churn = 2 }, "option `churn`")
  refused(adapt.sam, { rho = -1 }, "option `rho`")
end)

test.case("a dry run trains nothing, whatever the method", function()
  local more = { earlier = { second }, teacher = model:clone() }
  for name, names in pairs {
    ewc = { "earlier" },
    l2sp = {},
    replay = { "earlier" },
    agem = { "earlier" },
    sam = {},
    iterative = {},
    spiel = {},
    distill = { "teacher" },
  } do
    local o = { dry_run = true, steps = 7 }
    for _, option in ipairs(names) do
      o[option] = more[option]
    end
    test.equal({ adapt[name](model, first, o).steps, model:fingerprint() }, { 7, fingerprint }, name)
  end
end)
