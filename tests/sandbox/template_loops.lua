-- expect: argument chat template
-- Loops in loops.
local lota = require("lota")
local m = lota.model.init(
  "tiny",
  { chat_template = "{% for i in range(100000) %}{% for i in range(100000) %}{% endfor %}{% endfor %}" }
)
return #m:chat({ { role = "user", content = "x" } })
