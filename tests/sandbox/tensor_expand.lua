-- expect: limit tensors
-- The same without a copy, which one would follow.
return require("lota").ones({ 1, 1 }):expand({ 100000, 100000 })
