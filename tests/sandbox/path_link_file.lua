-- expect: denied
-- A link to a file outside.
return require("lota").data.read("linked.txt")
