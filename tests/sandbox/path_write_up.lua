-- expect: denied
-- A write outside.
require("lota").run.start("../out")
