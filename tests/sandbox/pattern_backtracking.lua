-- expect: limit instructions
-- A pattern whose time grows exponentially.
return ("a"):rep(30000):find((".-"):rep(50) .. "b")
