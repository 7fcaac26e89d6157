-- expect: denied
-- A write along a link.
require("lota").run.start("link/out")
