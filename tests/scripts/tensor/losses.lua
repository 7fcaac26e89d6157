-- What losses are made of: values computed elsewhere, gradients against differences in f64.
--
-- The values below are printed by this program (Python 3, its float is f64):
--   from math import *
--   x = [[0.5, -1, 2], [3, 0, -40]]; y = [[1, 0, -1], [0.25, 0.5, 2]]
--   lse = lambda r: log(sum(exp(v) for v in r)); P, Q = ([[v - lse(r) for v in r] for r in t] for t in (x, y))
--   print([-log1p(exp(-v)) for r in x for v in r], [lse(r) for r in x], [-sum(exp(a) * a for a in r) for r in P])
--   print([sum(exp(a) * (a - b) for a, b in zip(p, q)) for p, q in zip(P, Q)])
--   print([sqrt(sum((v - sum(r) / 3) ** 2 for v in r) / 2) for r in x])
local lota = require "lota"
local test = require "lota.test"

local function f64(numbers)
  return lota.tensor(numbers, { dtype = "f64" })
end

local inf = math.huge
local x = f64 { { 0.5, -1.0, 2.0 }, { 3.0, 0.0, -40.0 } }
local y = f64 { { 1.0, 0.0, -1.0 }, { 0.25, 0.5, 2.0 } }

local function near(got, expected)
  local flat = got:flatten():totable()
  test.equal(#flat, #expected)
  for i, number in ipairs(expected) do
    if math.abs(number) == inf then
      test.equal(flat[i], number)
    else
      test.near(flat[i], number, 1e-12 * math.max(1, math.abs(number)))
    end
  end
end

--- The gradient of `f` at `start`, each entry against a difference.
local function slopes(name, start, f)
  local variable = start:requires_grad()
  local gradient = lota.grad(f(variable), { variable })[1]:flatten():totable()
  local numbers, shape = start:flatten():totable(), start:shape()
  for i = 1, #numbers do
    local kept, h = numbers[i], 1e-6
    numbers[i] = kept + h
    local above = f(f64(numbers):reshape(shape)):item()
    numbers[i] = kept - h
    local below = f(f64(numbers):reshape(shape)):item()
    numbers[i] = kept
    local slope = (above - below) / (2 * h)
    if math.abs(slope - gradient[i]) > 1e-7 then
      error(("%s, entry %d: the slope is %g and the gradient %g"):format(name, i, slope, gradient[i]))
    end
  end
end

test.case("values", function()
  near(x:logsigmoid(), {
    -0.4740769841801067,
    -1.3132616875182228,
    -0.1269280110429725,
    -0.04858735157374206,
    -0.6931471805599453,
    -40.0,
  })
  near(x:logsumexp(2), { 2.241311296657157, 3.048587351573742 })
  near(x:entropy(), { 0.6215846046792745, 0.1908649711064424 })
  near(x:log_softmax():entropy(2), { 0.6215846046792745, 0.1908649711064424 })
  near(x:log_softmax():kl(y:log_softmax()), { 1.3963280022143452, 1.8815369939930622 })
  near(x:std(2), { 1.5, 24.006943440041116 })
  near(x:quantile(0.1, 2), { -0.7, -32.0 })
  near(x:quantile(0.8, 2), { 1.4, 1.8 })
  near(x:quantile(0.5), { 0.25 })
  near(x:quantile(0), { -40 })
  near(x:quantile(1), { 3 })
end)

test.case("infinities and what is not a number", function()
  near(f64({ -inf, inf, -1000 }):logsigmoid(), { -inf, 0, -1000 })
  test.equal(f64({ -inf, -inf }):logsumexp():item(), -inf)
  test.equal(f64({ inf, 1 }):logsumexp():item(), inf)
  near(f64({ 0, 0, -inf }):entropy(), { math.log(2) })
  local p, q = f64({ 0, -inf }):log_softmax(), f64({ 0, 0 }):log_softmax()
  near(p:kl(q), { math.log(2) })
  near(p:kl(p), { 0 })
  test.equal(q:kl(p):item(), inf)
  local nan = f64 { 1, 0 / 0, 0 }
  test.equal(nan:sort()[2]:totable(), { 2, 0, 1 })
  test.equal(nan:topk(1)[2]:totable(), { 1 })
  local q0 = nan:quantile(0):item()
  test.equal(q0 == q0, false)
end)

test.case("gradients are slopes", function()
  local weights = f64 { { 0.3, -0.7, 1.1 }, { 0.2, 0.9, -0.4 } }
  local rows = f64 { 0.6, -1.7 }
  local start = f64 { { 0.5, -1.0, 2.0 }, { 3.0, 0.0, -4.0 } }
  local other = y:log_softmax()
  local some = lota.tensor({ { 1, 0, 1 }, { 0, 1, 0 } }, { dtype = "u8" })
  local at = lota.tensor({ { 2, 0 }, { 1, 1 } }, { dtype = "u32" })
  local values = f64 { { 5, 6 }, { 7, 8 } }
  local four = f64 { { 1, 2 }, { 3, 4 } }
  local losses = {
    logsigmoid = function(v)
      return (v:logsigmoid() * weights):sum()
    end,
    logsumexp = function(v)
      return (v:logsumexp(2) * rows):sum() + v:logsumexp() * 0.5
    end,
    entropy = function(v)
      return (v:entropy(2) * rows):sum()
    end,
    kl_of_p = function(v)
      return (v:log_softmax():kl(other) * rows):sum()
    end,
    kl_of_q = function(v)
      return (other:kl(v:log_softmax()) * rows):sum()
    end,
    std = function(v)
      return (v:std(2) * rows):sum() + v:std()
    end,
    sort = function(v)
      return (v:sort(2)[1] * weights):sum() + (v:sort(1, { descending = true })[1] * weights):sum()
    end,
    topk = function(v)
      return (v:topk(2)[1] * four):sum() + v:topk(1, 1, { largest = false })[1]:sum()
    end,
    quantile = function(v)
      return (v:quantile(0.3, 2) * rows):sum() + v:quantile(0.9)
    end,
    masked_select = function(v)
      return (v:masked_select(some) * f64 { 1, 2, 3 }):sum()
    end,
    scatter = function(v)
      return (v:scatter(2, at, { values = values }) * weights):sum()
    end,
    scatter_add = function(v)
      return (v:scatter(2, at, { values = values, add = true }) * weights):sum()
    end,
  }
  for name, loss in pairs(losses) do
    slopes(name, start, loss)
  end
  slopes("the values of scatter", values, function(v)
    return (x:scatter(2, at, { values = v }) * weights):sum()
  end)
  slopes("the values that scatter adds", values, function(v)
    return (x:scatter(2, at, { values = v, add = true }) * weights):sum()
  end)
end)

test.case("scatter puts, and the last of several stays", function()
  local at = lota.tensor({ { 2, 0 }, { 1, 1 } }, { dtype = "u32" })
  local values = f64 { { 5, 6 }, { 7, 8 } }
  test.equal(x:scatter(2, at, { values = values }):totable(), { { 6, -1, 5 }, { 3, 8, -40 } })
  test.equal(x:scatter(2, at, { values = values, add = true }):totable(), { { 6.5, -1, 7 }, { 3, 15, -40 } })
  test.equal(x:scatter(2, at, { values = 0 }):totable(), { { 0, -1, 0 }, { 3, 0, -40 } })
  test.raises(function()
    x:scatter(2, lota.tensor({ { 3, 0 }, { 1, 1 } }, { dtype = "u32" }), { values = values })
  end, "no position in a length of 3")
  test.raises(function()
    x:scatter(2, at, { values = x })
  end, "must have the shape of the positions")
  test.raises(function()
    x:scatter(2, lota.tensor({ { 0 } }, { dtype = "u32" }), { values = 1 })
  end, "must have shape {2, 3} but for the dimension")
end)

test.case("order is stable, and counts from 0", function()
  local ties = lota.tensor({ 2, 1, 2, 1 }, { dtype = "i64" })
  test.equal(ties:sort()[1]:totable(), { 1, 1, 2, 2 })
  test.equal(ties:sort()[2]:totable(), { 1, 3, 0, 2 })
  test.equal(ties:sort(1, { descending = true })[2]:totable(), { 0, 2, 1, 3 })
  test.equal(ties:topk(3)[2]:totable(), { 0, 2, 1 })
  test.equal(ties:topk(0)[1]:count(), 0)
  local sorted = x:sort(1)
  test.equal(sorted[1], x:gather(1, sorted[2]))
  test.raises(function()
    ties:topk(5)
  end, "is 5, and the dimension holds 4 numbers")
  test.raises(function()
    ties:quantile(1.5)
  end, "from 0 to 1")
end)

test.case("choice keeps order", function()
  test.equal(lota.tensor({ { 0, 3 }, { 4, 0 } }):nonzero():totable(), { { 0, 1 }, { 1, 0 } })
  test.equal(lota.zeros({ 2, 2 }):nonzero():shape(), { 0, 2 })
  test.equal(x:masked_select(x:gt(0)):totable(), { 0.5, 2, 3 })
  test.equal(x:masked_select(x:gt(100)):count(), 0)
  test.equal(x:masked_select(lota.tensor { 1, 0, 0 }):totable(), { 0.5, 3 })
  test.raises(function()
    x:masked_select(lota.ones { 5 })
  end, "cannot be stretched")
end)

test.case("decompositions multiply back to the matrix", function()
  for _, shape in ipairs { { 5, 3 }, { 3, 5 }, { 4, 4 }, { 1, 6 } } do
    local a = lota.randn(shape, { rng = lota.rng(shape[1]), dtype = "f64" })
    local k = math.min(shape[1], shape[2])
    local u, s, vt = table.unpack(a:svd())
    test.equal({ u:shape(), s:shape(), vt:shape() }, { { shape[1], k }, { k }, { k, shape[2] } })
    test.near(((u * s):matmul(vt) - a):abs():max():item(), 0, 1e-12)
    local one = lota.eye(k, { dtype = "f64" })
    test.near((u:t():matmul(u) - one):abs():max():item(), 0, 1e-12)
    test.near((vt:matmul(vt:t()) - one):abs():max():item(), 0, 1e-12)
    test.equal(s, s:sort(1, { descending = true })[1])
    local q, r = table.unpack(a:qr())
    test.near((q:matmul(r) - a):abs():max():item(), 0, 1e-12)
    test.near((q:t():matmul(q) - one):abs():max():item(), 0, 1e-12)
    for i = 1, k do
      test.equal(r[i][i] >= 0, true)
      for j = 1, i - 1 do
        test.equal(r[i][j], 0)
      end
    end
  end
  local zero = lota.zeros { 3, 2 }
  test.equal(zero:svd()[2]:totable(), { 0, 0 })
  test.equal(zero:qr()[1]:matmul(zero:qr()[2]), zero)
  test.raises(function()
    lota.ones({ 2 }):svd()
  end, "must be a matrix")
  test.raises(function()
    f64({ { 1, inf } }):qr()
  end, "row 0, column 1")
  test.raises(function()
    lota.ones({ 2, 2 }):requires_grad():svd()
  end, "detach() it first")
end)

test.case("linear equations are solved, and those without one solution are refused", function()
  local a = lota.randn({ 5, 5 }, { rng = lota.rng(5), dtype = "f64" })
  local b = lota.randn({ 5, 3 }, { rng = lota.rng(6), dtype = "f64" })
  test.near((a:matmul(a:solve(b)) - b):abs():max():item(), 0, 1e-11)
  -- One right side is a vector, and scales far apart do no harm.
  local one = (a * 1e-200):solve(b:select(2, { 2 }):squeeze(2))
  test.equal(one:shape(), { 5 })
  test.near((one * 1e-200 - a:solve(b):select(2, { 2 }):squeeze(2)):abs():max():item(), 0, 1e-11)
  test.equal(a:solve(b * 0):abs():max():item(), 0)
  test.equal(lota.eye(2):solve(lota.tensor { 1, 2 }):dtype(), "f32")
  test.raises(function()
    f64({ { 1, 2 }, { 2, 4 } }):solve(f64 { 1, 1 })
  end, "singular")
  test.raises(function()
    lota.zeros({ 2, 2 }):solve(lota.ones { 2 })
  end, "singular")
  test.raises(function()
    lota.zeros({ 2, 3 }):solve(lota.ones { 2 })
  end, "must be square")
  test.raises(function()
    lota.eye(2):solve(lota.ones { 3 })
  end, "must have 2 rows")
  test.raises(function()
    lota.eye(2):solve(lota.ones({ 2 }):requires_grad())
  end, "detach() it first")
end)
