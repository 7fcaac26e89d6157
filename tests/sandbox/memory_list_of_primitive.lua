-- expect: limit needs more than
-- A list that a primitive makes.
require("lota").zeros({ 4000000 }):totable()
