-- expect: runtime yield
-- A yield out of a callback is refused, not lost.
return coroutine.wrap(function()
  return (("a"):gsub("a", coroutine.yield))
end)()
