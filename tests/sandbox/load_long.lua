-- expect: ok
-- A text of megabytes, which would take the compiler long: it is refused before.
local chunk, why = load(("x = 1 "):rep(1000000))
assert(chunk == nil and why:find("script"), why)
