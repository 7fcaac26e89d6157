//! The small models that targets and seeds share.

use std::sync::{Arc, LazyLock};

use candle_core::DType;
use lota_runtime::host::{Host, Rng};
use lota_runtime::mask::Mask;
use lota_runtime::model::{Config, Decoder, Model, ParamSpec, Role, Universe, init};
use lota_runtime::ops::Exec;
use lota_runtime::ticket::{Meta, Ticket};
use lota_runtime::train::{AdamW, Selection, Subject, TrainOptions, Trainer};

/// The `config.json` of a model of one layer and some hundred weights.
pub const TINY: &str = r#"{"architectures": ["LlamaForCausalLM"], "model_type": "llama", "vocab_size": 12,
"hidden_size": 8, "intermediate_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2, "num_key_value_heads": 1,
"hidden_act": "silu", "max_position_embeddings": 32, "rms_norm_eps": 1e-5, "rope_theta": 10000.0,
"tie_word_embeddings": true, "attention_bias": false, "mlp_bias": false, "bos_token_id": 1, "eos_token_id": 2}"#;

/// That model with weights of a seed.
pub fn model(seed: u64) -> Model {
    let json = serde_json::from_str(TINY).expect("is JSON");
    let config = Config::from_json(&json).expect("is a configuration");
    let decoder = Decoder::new(&config).expect("is a decoder");
    let (exec, host) = (Exec::cpu(), Host::default());
    let params = init::random(&decoder, seed, DType::F32, &exec, &host).expect("draws");
    Model::new(config, params, exec, "tiny").expect("belongs together")
}

/// Some entries of a model.
pub fn mask(universe: &Arc<Universe>) -> Mask {
    let mut rng = Rng::new(8);
    let mut some = |spec: &ParamSpec| (0..spec.entries() as u32).filter(|_| rng.below(5) == 0).collect();
    let sets = universe.specs().iter().map(&mut some).collect();
    Mask::new(universe.clone(), sets).expect("fits")
}

/// A trainer of these entries, as the seeds of training files were written by.
pub fn trainer(model: &Model) -> Trainer {
    let selection = Selection::masked(&mask(model.params.universe())).expect("is not empty");
    let subject = Subject { exec: &model.exec, decoder: &model.decoder, params: &model.params };
    Trainer::new(subject, selection, TrainOptions::new(AdamW::default().into(), 1e-3)).expect("fits")
}

/// What a model has at these entries, as a ticket on the model of another seed.
pub fn ticket(model: &Model, base: &Model) -> Ticket {
    let base = base.fingerprint().expect("has a fingerprint");
    let meta = Meta { seed: Some(3), data: Some("d".to_string()), ..Meta::new(base, "lota") };
    Ticket::extract(&model.exec, &model.params, &mask(model.params.universe()), meta).expect("extracts")
}

/// Names and shapes of the model that the masks of the published code here are of
/// (`runtime/tests/fixtures/published/make.py`).
pub const PUBLISHED: [(&str, &[usize], Role, Option<usize>); 7] = [
    ("model.embed_tokens.weight", &[7, 4], Role::Embed, None),
    ("model.layers.0.self_attn.q_proj.weight", &[4, 4], Role::Attention, Some(0)),
    ("model.layers.0.self_attn.q_proj.bias", &[4], Role::Bias, Some(0)),
    ("model.layers.0.mlp.up_proj.weight", &[6, 4], Role::Mlp, Some(0)),
    ("model.layers.1.self_attn.q_proj.weight", &[4, 4], Role::Attention, Some(1)),
    ("model.layers.1.mlp.up_proj.weight", &[6, 4], Role::Mlp, Some(1)),
    ("model.norm.weight", &[4], Role::Norm, None),
];

/// That model.
pub fn published_universe() -> &'static Arc<Universe> {
    static UNIVERSE: LazyLock<Arc<Universe>> = LazyLock::new(|| {
        let spec = |&(name, shape, role, layer): &(&str, &[usize], Role, Option<usize>)| ParamSpec {
            name: name.to_string(),
            shape: shape.to_vec(),
            role,
            layer,
        };
        Universe::new(PUBLISHED.iter().map(spec).collect()).expect("is one")
    });
    &UNIVERSE
}
