-- expect: argument not the name of a module
-- A module from the top.
require("/etc/passwd")
