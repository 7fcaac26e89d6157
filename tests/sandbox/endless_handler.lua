-- expect: limit instructions
-- Only the handler does not end.
xpcall(error, function()
  while true do
  end
end)
