-- no twin: what is checked is the trainer, not the language
local lota = require "lota"
local m = lota.model.init("tiny", { seed = 1 })
local start, frozen = m:snapshot(), m:fingerprint()
local function stream(n)
  local rows = {}
  for i = 1, n do
    rows[i] = { prompt = i .. "+1=", target = tostring(i + 1) }
  end
  return lota.data.batches(lota.data.examples(m, rows), { size = 4 })
end
local mask = lota.mask.random(m, { density = 0.1 })
local run = lota.run.start(os.tmpname() .. ".run")
local path = run:path "state.safetensors"
local batches = stream(16)
local t = lota.train.new(m, { mask = mask, lr = 1e-3 })
t:step(batches:next())
t:save(path, { batches = batches })
local trained = m:fingerprint()
assert(trained ~= frozen)

-- A load that is refused has changed nothing: the stream is another, is none, or the file is damaged.
local function refused(what, load)
  m:restore(start)
  local u = lota.train.new(m, { mask = mask, lr = 1e-3 })
  local ok, err = pcall(load, u)
  assert(not ok and tostring(err):find(what, 1, true), tostring(err))
  assert(
    m:fingerprint() == frozen and u:info().step == 0 and u:info().tokens == 0,
    "the load was refused and changed something"
  )
end
refused("over other examples", function(u)
  u:load(path, { batches = stream(12) })
end)
t:save(run:path "alone.safetensors")
local other = stream(16)
refused("no place of a stream", function(u)
  u:load(run:path "alone.safetensors", { batches = other })
end)
local file = assert(io.open(path, "rb"))
local bytes = file:read "a"
file:close()
for _, at in ipairs { #bytes, #bytes - 5000, 2000 } do
  local damaged = bytes:sub(1, at - 1) .. string.char(bytes:byte(at) ~ 64) .. bytes:sub(at + 1)
  file = assert(io.open(run:path "damaged.safetensors", "wb"))
  file:write(damaged)
  file:close()
  refused("damaged.safetensors", function(u)
    u:load(run:path "damaged.safetensors", { batches = other })
  end)
end

-- What fits is taken whole.
m:restore(start)
local u = lota.train.new(m, { mask = mask, lr = 1e-3 })
assert(u:load(path, { batches = other }) == 1 and m:fingerprint() == trained)
-- The same script may save to the file again, through another trainer too.
u:save(path, { batches = other })
