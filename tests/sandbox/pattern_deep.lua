-- expect: runtime pattern too complex
-- A pattern that would use up the stack.
return ("x"):rep(1000):find(("x?"):rep(1000) .. "y")
