--- Ways to adapt a model to a task. Each is one page, changes the model it is given in place, and returns a record.
--
--   local adapt = require "lota.adapt"
--   adapt.lota(model, task, { density = 0.1, steps = 200 })          one sparse task vector
--   adapt.lotto(model, { first, second, third }, { density = 0.1 })  a sequence, each outside the masks before it
--   adapt.fft(model, task, { steps = 200 })                          every weight: the control
--   adapt.lora(model, task, { count = 100000, steps = 200 })         factors of low rank: the control at equal size
--   adapt.lori(model, task, { rank = 16, keep = 0.1 })               the same with a frozen A and a masked B
--   adapt.random(model, task, { density = 0.1, steps = 200 })        a mask drawn by chance: the control
--   adapt.ewc(model, task, { earlier = { first } })                  full, held by Fisher information of earlier tasks
--   adapt.l2sp(model, task, { strength = 0.1 })                      full, held near the weights at the start
--   adapt.replay(model, task, { earlier = { first } })               full, with rows of earlier tasks mixed in
--   adapt.agem(model, task, { earlier = { first } })                 full, gradients turned away from conflicts
--   adapt.sam(model, task, { rho = 0.05 })                           full, by gradients taken a little uphill
--   adapt.ssu(model, task, { source = { first } })                   all but the columns that earlier tasks need
--   adapt.migu(model, task, { threshold = 0.7 })                     the rows that are active, in each step
--   adapt.iterative(model, task, { rounds = 3 })                     a ticket whose mask grows over rounds
--   adapt.spiel(model, task, { every = 20, churn = 0.2 })            a ticket whose mask drops and grows in training
--   adapt.dpo(model, preferences, { beta = 0.1 })                    which of two answers is better
--   adapt.distill(model, task, { teacher = other })                  the distributions of another model
--
-- A task is any table with `train`, a list of { prompt =, target = } or { messages = }. `lota.tasks` has some ready.

local options = require "lota.options"

return options.strict("lota.adapt", {
  lota = require "lota.adapt.lota",
  lotto = require "lota.adapt.lotto",
  fft = require "lota.adapt.fft",
  lora = require "lota.adapt.lora",
  lori = require "lota.adapt.lori",
  random = require "lota.adapt.random",
  ewc = require "lota.adapt.ewc",
  l2sp = require "lota.adapt.l2sp",
  replay = require "lota.adapt.replay",
  agem = require "lota.adapt.agem",
  iterative = require "lota.adapt.iterative",
  spiel = require "lota.adapt.spiel",
  dpo = require "lota.adapt.dpo",
  distill = require "lota.adapt.distill",
  sam = require "lota.adapt.sam",
  ssu = require "lota.adapt.ssu",
  migu = require "lota.adapt.migu",
})
