-- expect: limit instructions
-- The same in gsub, caught.
while true do
  pcall(string.gsub, ("a"):rep(30000), (".-"):rep(20) .. "b", "")
end
