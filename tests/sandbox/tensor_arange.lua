-- expect: limit tensors
-- A long range.
return require("lota").arange(1, 1000000000)
