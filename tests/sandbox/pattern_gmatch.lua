-- expect: limit instructions
-- The same in gmatch.
for _ in ("a"):rep(30000):gmatch((".-"):rep(20) .. "b") do
end
