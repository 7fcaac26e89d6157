-- expect: argument chat template
-- A text doubled by what is printed.
local lota = require("lota")
local m = lota.model.init("tiny", {
  chat_template = "{% macro m(s, n) %}{% set t %}{{ s }}{{ s }}{% endset %}{% if n %}{{ m(t, n - 1) }}{% endif %}{% endmacro %}{{ m('xxxxxxxx', 40) }}",
})
return #m:chat({ { role = "user", content = "x" } })
