-- expect: argument chat template
-- A text doubled again and again.
local lota = require("lota")
local m = lota.model.init(
  "tiny",
  { chat_template = "{% set s = 'xxxxxxxx' %}" .. ("{% set s = s ~ s %}"):rep(60) .. "{{ s }}" }
)
return #m:chat({ { role = "user", content = "x" } })
