-- expect: limit memory
-- A small file of many rows.
local lota = require("lota")
local run = lota.run.start("r")
return #lota.data.read(run:write("many.csv", "a\n" .. ("1\n"):rep(1000000)))
