-- expect: argument not JSON
-- Lists in lists, as a text.
return require("lota").json.decode(("["):rep(1000000))
