-- expect: denied
-- A module along a link.
require("link.module")
