-- expect: runtime attempt to load a binary chunk
-- Bytecode can crash the interpreter.
assert(load("\27Lua"))
