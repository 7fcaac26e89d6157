-- expect: limit instructions
-- A module that is asked for again and again.
while true do
  pcall(require, "no.such.module")
end
