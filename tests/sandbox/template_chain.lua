-- expect: argument operations
-- The same, with names.
local lota = require("lota")
local m = lota.model.init("tiny", { chat_template = "{{ x" .. (".a"):rep(100000) .. " }}" })
return #m:chat({ { role = "user", content = "x" } })
