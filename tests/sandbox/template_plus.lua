-- expect: argument operations
-- An expression that goes as deep as it is long.
local lota = require("lota")
local m = lota.model.init("tiny", { chat_template = "{{ 1" .. ("+1"):rep(100000) .. " }}" })
return #m:chat({ { role = "user", content = "x" } })
