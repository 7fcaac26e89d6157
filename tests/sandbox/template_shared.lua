-- expect: argument chat template
-- A list that holds another twice.
local lota = require("lota")
local m =
  lota.model.init("tiny", { chat_template = "{% set s = [1] %}" .. ("{% set s = [s, s] %}"):rep(60) .. "{{ s }}" })
return #m:chat({ { role = "user", content = "x" } })
