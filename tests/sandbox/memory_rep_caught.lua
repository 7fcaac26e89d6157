-- expect: limit may use
-- A gigabyte at once, with a pcall around it.
while true do
  pcall(string.rep, "x", 1000000000)
end
