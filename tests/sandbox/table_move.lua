-- expect: runtime at once
-- A move over nothing, without end.
table.move({}, 1, 1000000000000000, 2)
