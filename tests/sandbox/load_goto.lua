-- expect: ok
-- Jumps to one place, which would take the compiler long: it is refused before.
local chunk, why = load(("goto done "):rep(90000) .. "::done::")
assert(chunk == nil and why:find("script"), why)
