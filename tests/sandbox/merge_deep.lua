-- expect: argument m.yml
-- Lists in lists, as a configuration.
local lota = require("lota")
local run = lota.run.start("r")
local path = run:write("m.yml", "merge_method: " .. ("["):rep(100000))
return lota.merge.config(path, run:path("out"))
