-- expect: limit instructions
-- The same with greedy repetitions.
return ("a"):rep(30000):match(("a*"):rep(50) .. "b")
