-- expect: limit may use
-- Many pieces joined.
local piece = ("x"):rep(1000000)
local t = {}
for i = 1, 1000 do
  t[i] = piece
end
return #table.concat(t)
