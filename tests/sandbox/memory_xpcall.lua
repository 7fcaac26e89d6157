-- expect: limit may use
-- A handler that would hide it.
return xpcall(function()
  return ("x"):rep(1000000000)
end, function()
  return "fine"
end)
