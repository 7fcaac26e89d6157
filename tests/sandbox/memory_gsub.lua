-- expect: limit may use
-- Each letter becomes a megabyte.
local new = ("x"):rep(1000000)
return (("a"):rep(1000):gsub("a", new))
