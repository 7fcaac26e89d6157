-- expect: limit tensors
-- The Gram matrix of a layer that is given many features, in a model that is small.
local lota = require("lota")
local model = lota.model.init({
  model_type = "llama",
  vocab_size = 256,
  hidden_size = 8,
  intermediate_size = 5000,
  num_hidden_layers = 1,
  num_attention_heads = 1,
  rope_theta = 10000,
  max_position_embeddings = 64,
  rms_norm_eps = 1e-6,
  hidden_act = "silu",
})
lota.stats.collect(model, lota.data.batch({ { 1, 2, 3 } }), { input_norm = true })
return lota.stats.collect(model, lota.data.batch({ { 1, 2, 3 } }), { gram = true })
