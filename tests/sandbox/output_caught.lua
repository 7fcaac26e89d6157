-- expect: limit print
-- A flood of output, with a pcall around it.
while true do
  pcall(print, ("x"):rep(1000))
end
