-- expect: argument chat template
-- A long text searched without end.
local lota = require("lota")
local m = lota.model.init(
  "tiny",
  { chat_template = "{% set s = 'x' * 4000000 %}{% for i in range(100000) %}{% if 'y' in s %}{% endif %}{% endfor %}" }
)
return #m:chat({ { role = "user", content = "x" } })
