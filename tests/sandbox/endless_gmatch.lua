-- expect: limit instructions
-- The iterator is called for ever.
while true do
  for _ in ("aaaa"):gmatch("a") do
  end
end
