-- expect: denied
-- From the top.
return require("lota").data.read("/etc/passwd")
