-- expect: limit may use
-- A gigabyte at once.
return #("x"):rep(1000000000)
