-- expect: ok
-- No library reaches out of the interpreter.
for _, name in ipairs({ "io", "os", "package", "dofile", "loadfile", "loadlib", "jit", "ffi", "warn" }) do
  assert(_G[name] == nil, name)
end
for name in pairs(debug) do
  assert(name == "traceback", name)
end
