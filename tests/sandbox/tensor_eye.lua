-- expect: limit tensors
-- A large identity.
return require("lota").eye(100000)
