-- expect: limit instructions
-- A variable to be closed that does not let go.
local function stay()
  while true do
  end
end
do
  local guard <close> = setmetatable({}, { __close = stay })
  error("out")
end
