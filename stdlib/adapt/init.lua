--- Ways to adapt a model to a task. Each is one page, changes the model it is given in place, and returns a record.
--
--   local adapt = require "lota.adapt"
--   adapt.lota(model, task, { density = 0.1, steps = 200 })          one sparse task vector
--   adapt.lotto(model, { first, second, third }, { density = 0.1 })  a sequence, each outside the masks before it
--   adapt.fft(model, task, { steps = 200 })                          every weight: the control
--   adapt.random(model, task, { density = 0.1, steps = 200 })        a mask drawn by chance: the control
--
-- A task is any table with `train`, a list of { prompt =, target = } or { messages = }. `lota.tasks` has some ready.

return {
  lota = require "lota.adapt.lota",
  lotto = require "lota.adapt.lotto",
  fft = require "lota.adapt.fft",
  random = require "lota.adapt.random",
}
