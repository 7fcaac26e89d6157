-- expect: limit files
-- Run folders that are kept.
local lota = require("lota")
local kept = {}
for i = 1, 100 do
  kept[i] = lota.run.start("run-" .. i)
end
