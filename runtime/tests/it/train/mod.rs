//! Training on a small decoder: the model, the data and the options that the tests share.

mod checkpoints;
mod fitting;
mod paths;
mod refusals;
mod resuming;
mod scores;
mod steps;

use std::sync::Arc;

use candle_core::{DType, Device, Tensor};
use lota_runtime::data::{Batch, BatchOptions, Batches, Example};
use lota_runtime::host::{Host, Rng};
use lota_runtime::mask::Mask;
use lota_runtime::model::{Config, Decoder, ParamSpec, Params, Role};
use lota_runtime::ops::Exec;
use lota_runtime::train::{AdamW, Selection, StepReport, Subject, TrainOptions, Trainer};
use serde_json::json;

struct Tiny {
    exec: Exec,
    decoder: Decoder,
    params: Params,
    host: Host,
}

impl Tiny {
    fn new(dtype: DType) -> Self {
        let config = Config::from_json(&json!({
            "architectures": ["LlamaForCausalLM"], "model_type": "llama", "vocab_size": 40, "hidden_size": 32,
            "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2,
            "hidden_act": "silu", "max_position_embeddings": 64, "rms_norm_eps": 1e-5, "rope_theta": 10000.0,
            "tie_word_embeddings": true, "attention_bias": false, "mlp_bias": false,
            "bos_token_id": 1, "eos_token_id": 2
        }))
        .expect("a configuration");
        let decoder = Decoder::new(&config).expect("a decoder");
        let mut rng = Rng::new(3);
        let mut tensor = |spec: &ParamSpec| {
            let one = matches!(spec.role, Role::Norm);
            let value = |x: f64| if one { 1.0 + 0.1 * x } else { 0.2 * x } as f32;
            let values: Vec<f32> = (0..spec.entries()).map(|_| value(rng.normal())).collect();
            let dtype = if one { DType::F32 } else { dtype };
            let tensor = Tensor::from_vec(values, spec.shape.clone(), &Device::Cpu);
            tensor.and_then(|t| t.to_dtype(dtype)).expect("a tensor")
        };
        let tensors = decoder.universe().specs().iter().map(&mut tensor).collect();
        let params = Params::new(decoder.universe().clone(), tensors).expect("fits");
        Self { exec: Exec::cpu(), decoder, params, host: Host::default() }
    }

    fn reference(mut self) -> Self {
        self.exec = self.exec.with_reference(true);
        self
    }

    fn subject(&self) -> Subject<'_> {
        Subject { exec: &self.exec, decoder: &self.decoder, params: &self.params }
    }

    fn all(&self) -> Selection {
        Selection::dense(self.decoder.universe().clone(), |_| true).expect("not empty")
    }

    /// A random mask over every parameter, norms and the embedding too.
    fn mask(&self) -> Mask {
        let mut rng = Rng::new(8);
        let universe = self.decoder.universe();
        let mut sets = Vec::new();
        for spec in universe.specs() {
            sets.push((0..spec.entries() as u32).filter(|_| rng.below(5) == 0).collect());
        }
        Mask::new(universe.clone(), sets).expect("fits")
    }

    fn trainer(&self, selection: Selection, options: TrainOptions) -> Trainer {
        Trainer::new(self.subject(), selection, options).expect("fits")
    }

    fn step(&self, trainer: &mut Trainer, batches: &[Batch]) -> StepReport {
        trainer.step(self.subject(), &self.host, batches).expect("a step")
    }

    fn values(&self) -> Vec<Vec<f32>> {
        let flat = |t: &Tensor| t.flatten_all()?.to_dtype(DType::F32)?.to_vec1::<f32>();
        self.params.tensors().iter().map(|t| flat(t).expect("numbers")).collect()
    }

    fn hash(&self) -> String {
        let all: Vec<u8> = self.values().iter().flatten().flat_map(|x| x.to_le_bytes()).collect();
        blake3::hash(&all).to_hex().to_string()
    }
}

/// Examples of differing lengths and numbers of targets.
fn some_examples(n: u64) -> Arc<Vec<Example>> {
    let mut rng = Rng::new(n);
    let mut ids = |n: u64| (0..n).map(|_| 3 + rng.below(37) as u32).collect::<Vec<_>>();
    Arc::new((0..n).map(|i| Example::new(&ids(2 + i % 4), &ids(1 + (i * i) % 6))).collect())
}

fn stream(n: u64, size: usize) -> Batches {
    Batches::new(some_examples(n), BatchOptions { size, seed: 4, ..Default::default() }).expect("fits")
}

fn adamw(lr: f64) -> TrainOptions {
    let optimizer = AdamW { weight_decay: 0.1, ..AdamW::default() }.into();
    TrainOptions::new(optimizer, lr)
}

fn largest_difference(a: &[Vec<f32>], b: &[Vec<f32>]) -> f32 {
    a.iter().flatten().zip(b.iter().flatten()).map(|(x, y)| (x - y).abs()).fold(0.0, f32::max)
}
