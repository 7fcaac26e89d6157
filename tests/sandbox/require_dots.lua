-- expect: argument not the name of a module
-- Empty parts of a name.
require("..secret")
