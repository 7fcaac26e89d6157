-- expect: denied
-- Along a link that leads out.
return require("lota").data.read("link/secret.txt")
