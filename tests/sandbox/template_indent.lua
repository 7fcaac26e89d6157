-- expect: argument chat template
-- A width of gigabytes.
local lota = require("lota")
local m = lota.model.init("tiny", { chat_template = '{{ "a\nb\nc"|indent(1000000000) }}' })
return #m:chat({ { role = "user", content = "x" } })
