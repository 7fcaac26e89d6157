-- expect: argument chat template
-- The same, compared.
local lota = require("lota")
local m = lota.model.init("tiny", {
  chat_template = "{% set s = [1] %}{% set t = [1] %}"
    .. ("{% set s = [s, s] %}{% set t = [t, t] %}"):rep(60)
    .. "{{ s == t }}",
})
return #m:chat({ { role = "user", content = "x" } })
