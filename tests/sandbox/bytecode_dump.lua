-- expect: runtime nil value
-- There is nothing that makes bytecode.
return string.dump(print)
