-- expect: limit tensors
-- A tensor of a terabyte.
return require("lota").zeros({ 1000, 1000, 1000 })
