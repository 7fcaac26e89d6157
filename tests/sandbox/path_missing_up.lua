-- expect: denied
-- Up from a folder that does not exist.
return require("lota").data.read("nowhere/../../secret.txt")
