-- expect: limit instructions
-- The plainest of all.
while true do
end
