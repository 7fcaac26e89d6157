-- expect: denied
-- Up and out.
return require("lota").data.read("../secret.txt")
