-- expect: limit need more than
-- A small file of many rows, each of which takes far more memory than its text.
local lota = require "lota"
local run = lota.run.start "rows"
lota.data.read(run:write("rows.csv", "a\n" .. ("1\n"):rep(400000)))
