-- expect: argument operations
-- The same, with branches.
local lota = require("lota")
local m = lota.model.init("tiny", { chat_template = "{% if x %}" .. ("{% elif x %}"):rep(60000) .. "{% endif %}" })
return #m:chat({ { role = "user", content = "x" } })
