-- Positions count from 1, -1 is the last; stored positions are not shifted.
local lota = require "lota"
local x = lota.arange(1, 24):reshape { 2, 3, 4 }
assert(x[1][1][1] == 1 and x[2][3][4] == 24 and x[-1][-1][-1] == 24)
assert(x[{ 2, 1 }][3] == 15 and x:index(2, 1, 3) == 15)
assert(x:narrow(2, 2):shape()[2] == 2 and x:narrow(-1, -1):shape()[3] == 1)
assert(x:sum(3):shape()[2] == 3 and #x:sum(3):shape() == 2)
assert(#x:sum(3, { keep = true }):shape() == 3 and #x:sum(-1):shape() == 2)
assert(x:select(3, { 4, 1 })[1][1][1] == 4)
assert(lota.tensor({ 5, 9, 7 }):argmax():item() == 1)
assert(x:permute({ 3, 1, 2 }):shape()[1] == 4)
assert(x:t():shape()[3] == 3 and x:t(1, 2):shape()[1] == 3)
assert(#lota.cat({ x, x }, 2)[1] == 6 and #lota.stack { x, x } == 2)
local ids = lota.tensor({ 2, 0 }, { dtype = "u32" })
assert(lota.tensor({ 5, 6, 7 }):select(1, ids)[1] == 7)
assert(lota.tensor({ 1, 2 }):matmul(lota.tensor { 3, 4 }):item() == 11)
assert(lota.tensor({ { 1, 2 } }):matmul(lota.tensor { 3, 4 }):shape()[1] == 1)
assert(#lota.tensor({ 1, 2 }):matmul(lota.zeros { 2, 5 }):shape() == 1)
assert(lota.zeros({ 7, 2, 3 }):matmul(lota.zeros { 3, 4 }):shape()[3] == 4)
