-- expect: limit instructions
-- The guards keep what they need for themselves.
rawget, type, error, setmetatable = nil, nil, nil, nil
local pcall = pcall
string.find, table.sort, coroutine.resume = nil, nil, nil
while true do
  pcall(function()
    while true do
    end
  end)
end
