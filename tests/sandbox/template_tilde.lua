-- expect: argument operations
-- The same, with texts.
local lota = require("lota")
local m = lota.model.init("tiny", { chat_template = "{{ 1" .. ("~1"):rep(100000) .. " }}" })
return #m:chat({ { role = "user", content = "x" } })
