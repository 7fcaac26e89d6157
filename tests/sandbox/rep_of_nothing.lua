-- expect: ok
-- Nothing, repeated without end.
assert((""):rep(1000000000000000) == "")
assert((""):rep(1000000000000000, "") == "")
