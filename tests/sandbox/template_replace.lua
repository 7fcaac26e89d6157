-- expect: argument chat template
-- A text that grows by what is replaced.
local lota = require("lota")
local m = lota.model.init(
  "tiny",
  { chat_template = "{% set s = 'x' %}" .. ("{% set s = s|replace('x', 'xxxxxxxxxxxxxxxx') %}"):rep(20) .. "{{ s }}" }
)
return #m:chat({ { role = "user", content = "x" } })
