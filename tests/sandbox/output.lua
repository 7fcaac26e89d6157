-- expect: limit print
-- A flood of output.
while true do
  print(("x"):rep(100))
end
