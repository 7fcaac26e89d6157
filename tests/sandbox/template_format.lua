-- expect: argument chat template
-- The same in a format.
local lota = require("lota")
local m = lota.model.init("tiny", { chat_template = '{{ "%1000000000d"|format(1) }}' })
return #m:chat({ { role = "user", content = "x" } })
