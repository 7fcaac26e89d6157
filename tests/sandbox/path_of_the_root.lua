-- expect: runtime is a directory
-- The file that is made on the way would lie outside of the root.
local lota = require("lota")
return lota.mask.all(lota.model.init("tiny")):save(".")
