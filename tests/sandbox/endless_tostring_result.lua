-- expect: limit instructions
-- The same as the result of a script.
return setmetatable({ 1, self = coroutine.running() }, {
  __tostring = function()
    while true do
    end
  end,
})
