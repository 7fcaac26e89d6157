-- expect: argument
-- A file of a run that is not in its folder.
local run = require("lota").run.start("run")
run:write("../../out.txt", "x")
