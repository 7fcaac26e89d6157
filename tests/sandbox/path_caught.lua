-- expect: denied
-- A refusal can be caught, but stays a refusal.
local lota = require("lota")
local ok, e = pcall(lota.data.read, "../secret.txt")
assert(not ok and e:find("outside", 1, true), e)
lota.data.read("../secret.txt")
