-- expect: denied
-- Down, then up and out.
return require("lota").data.read("in/../../secret.txt")
