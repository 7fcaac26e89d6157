-- expect: argument m.yml
-- A configuration whose parts stand for ten others each.
local lota = require("lota")
local run = lota.run.start("r")
local lines = { "a0: &a0 [x, x, x, x, x, x, x, x, x, x]" }
for i = 1, 12 do
  local before = "*a" .. (i - 1)
  lines[#lines + 1] = "a" .. i .. ": &a" .. i .. " [" .. (before .. ", "):rep(9) .. before .. "]"
end
local path = run:write("m.yml", table.concat(lines, "\n"))
return lota.merge.config(path, run:path("out"))
