-- expect: denied neither a file
-- A pipe would keep its reader for ever.
return require("lota").data.read("pipe")
