-- expect: runtime too many results
-- More results than the stack holds.
return table.unpack({}, 1, 10000000)
