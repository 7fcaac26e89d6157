-- expect: limit instructions
-- A replacement that does not end.
while true do
  pcall(string.gsub, "aaa", "a", function()
    while true do
    end
  end)
end
