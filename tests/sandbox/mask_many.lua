-- expect: limit tensors need
-- Masks that hold every entry take few bytes in a file, and more in memory.
local lota = require("lota")
local m = lota.model.init("tiny")
local all = {}
for i = 1, 1e6 do
  all[i] = lota.mask.all(m)
end
