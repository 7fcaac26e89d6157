-- expect: limit instructions
-- Many of them, one inside the other.
local function stay()
  while true do
  end
end
local function nest(n)
  local guard <close> = setmetatable({}, { __close = stay })
  if n > 0 then
    nest(n - 1)
  end
  error("out")
end
nest(50)
