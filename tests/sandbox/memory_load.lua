-- expect: limit may use
-- A source that does not end.
return load(function()
  return ("x = 1; "):rep(1000)
end)
