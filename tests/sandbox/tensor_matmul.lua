-- expect: limit tensors
-- The same by a product.
local lota = require("lota")
return lota.ones({ 100000, 1 }):matmul(lota.ones({ 1, 100000 }))
