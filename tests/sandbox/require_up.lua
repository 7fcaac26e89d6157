-- expect: argument not the name of a module
-- A module outside.
require("../secret")
