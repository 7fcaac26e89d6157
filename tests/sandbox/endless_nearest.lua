-- expect: ok
-- What is so long is no name.
local lota = require("lota")
local long = ("x"):rep(300000)
assert(lota.nearest(long, { long .. "y", "density" }) == nil)
return lota.nearest("density", { long, "x" .. long })
