-- expect: ok
-- A chain of conditions, which would take the compiler long: it is refused before.
local chunk, why = load("local x = 1 if x then " .. ("elseif x then "):rep(100000) .. " end")
assert(chunk == nil and why:find("script"), why)
