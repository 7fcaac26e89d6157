-- Gradients, against differences.
local lota = require "lota"
local rng = lota.rng(5)
local x = lota.randn({ 8, 3 }, { rng = rng })
local target = lota.randn({ 8 }, { rng = rng })
local w = lota.randn({ 3 }, { rng = rng, dtype = "f64" }):requires_grad()

local function loss(weights)
  local out = x:to("f64"):matmul(weights)
  return ((out - target:to "f64") ^ 2):mean() + weights:tanh():sum() * 0.1 + weights:softmax():max() * 0.3
end

local gradient = lota.grad(loss(w), { w })[1]
for i = 1, 3 do
  local step = lota.tensor({ 0, 0, 0 }, { dtype = "f64" }):totable()
  step[i] = 1e-5
  local d = lota.tensor(step, { dtype = "f64" })
  local slope = (loss(w + d) - loss(w - d)):item() / 2e-5
  assert(math.abs(slope - gradient[i]) < 1e-6, ("%d: %g against %g"):format(i, slope, gradient[i]))
end

-- Descent in place, on the same variable.
local first = loss(w):item()
for _ = 1, 50 do
  w:sub_(lota.grad(loss(w), { w })[1] * 0.1)
end
assert(loss(w):item() < first)
local unused = lota.ones({ 2 }):requires_grad()
assert(lota.grad(loss(w), { unused })[1]:abs():sum():item() == 0)
