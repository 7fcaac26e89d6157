-- expect: ok
-- The same in pieces.
local left = 100000
local chunk, why = load(function()
  left = left - 1
  if left == 99999 then
    return "local x = 1 if x then "
  end
  return left > 0 and "elseif x then " or nil
end)
assert(chunk == nil and why:find("script"), why)
