-- expect: ok
-- Names in functions in functions: each is looked for among the variables of all of them.
local parts = {}
for i = 1, 100 do
  parts[#parts + 1] = "local function f" .. i .. "() "
  for k = 1, 150 do
    parts[#parts + 1] = "local v" .. k .. " "
  end
end
parts[#parts + 1] = ("x = y "):rep(50000) .. ("end "):rep(100)
local chunk, why = load(table.concat(parts))
assert(chunk == nil and why:find("too many functions"), why)
