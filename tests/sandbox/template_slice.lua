-- expect: argument chat template
-- A number of parts without end.
local lota = require("lota")
local m = lota.model.init("tiny", { chat_template = "{{ [1]|slice(1000000000)|list|length }}" })
return #m:chat({ { role = "user", content = "x" } })
