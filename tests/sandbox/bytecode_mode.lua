-- expect: runtime attempt to load a binary chunk
-- The mode does not help.
assert(load("\27Lua", "x", "b"))
