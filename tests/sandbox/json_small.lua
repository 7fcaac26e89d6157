-- expect: limit need
-- A text that becomes many times as large.
return #require("lota").json.decode("[" .. ("[],"):rep(2000000) .. "1]")
