-- expect: argument chat template
-- A list joined by long texts.
local lota = require("lota")
local m = lota.model.init("tiny", { chat_template = '{{ range(100000)|join("x"*100000) }}' })
return #m:chat({ { role = "user", content = "x" } })
