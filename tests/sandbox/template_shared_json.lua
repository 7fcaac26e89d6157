-- expect: argument chat template
-- The same, as JSON.
local lota = require("lota")
local m = lota.model.init(
  "tiny",
  { chat_template = "{% set s = [1] %}" .. ("{% set s = [s, s] %}"):rep(60) .. "{{ s|tojson }}" }
)
return #m:chat({ { role = "user", content = "x" } })
