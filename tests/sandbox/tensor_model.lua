-- expect: limit tensors
-- A model of a size that no machine has.
return require("lota").model.init({
  architectures = { "LlamaForCausalLM" },
  model_type = "llama",
  vocab_size = 100000,
  hidden_size = 8192,
  intermediate_size = 28672,
  num_hidden_layers = 80,
  num_attention_heads = 64,
  num_key_value_heads = 8,
  rope_theta = 10000.0,
  rms_norm_eps = 1e-5,
  max_position_embeddings = 4096,
  hidden_act = "silu",
})
