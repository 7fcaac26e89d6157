-- expect: argument operations
-- The same, with signs before.
local lota = require("lota")
local m = lota.model.init("tiny", { chat_template = "{{ " .. ("not "):rep(100000) .. "x }}" })
return #m:chat({ { role = "user", content = "x" } })
