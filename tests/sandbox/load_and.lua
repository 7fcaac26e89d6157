-- expect: ok
-- A chain of operators, which would take the compiler long: it is refused before.
local chunk, why = load("return " .. ("x and "):rep(150000) .. "x")
assert(chunk == nil and why:find("script"), why)
