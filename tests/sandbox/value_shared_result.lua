-- expect: limit may use
-- The same, given to the host.
local t = { 1 }
for _ = 1, 40 do
  t = { t, t }
end
return t
