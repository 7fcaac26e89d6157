-- expect: argument chat template
-- A constant that the compiler works out.
local lota = require("lota")
local m = lota.model.init("tiny", { chat_template = '{{ ("x" * 90000000) ~ ("x" * 90000000) ~ ("x" * 90000000) }}' })
return #m:chat({ { role = "user", content = "x" } })
