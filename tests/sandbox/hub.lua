-- expect: denied
-- A model from the net.
return require("lota").model.load("/HuggingFaceTB/SmolLM2-135M")
