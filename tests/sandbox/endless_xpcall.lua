-- expect: limit instructions
-- The handler does not end either.
xpcall(function()
  while true do
  end
end, function()
  while true do
  end
end)
