-- expect: runtime collectgarbage
-- The collector cannot be stopped.
collectgarbage("stop")
