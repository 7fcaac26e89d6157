//! Random weights for a model that is to be trained from scratch.

use candle_core::{DType, Tensor};
use half::bf16;
use rayon::prelude::*;

use super::{Decoder, ParamSpec, Params, Role};
use crate::host::{Host, Rng};
use crate::ops::Exec;
use crate::{Error, Result};

/// The deviation of GPT-2's and Llama's initial weights, where the config does not name one.
const DEVIATION: f64 = 0.02;

/// Random weights as GPT-2 starts from: normal with the config's `initializer_range` (0.02 where
/// it is absent), divided by `√(2·layers)` for the matrices that write into the residual stream;
/// biases 0, and normalisations doing nothing. Each parameter draws from a generator of its own,
/// forked by name, so the numbers depend on the seed, the name and the shape alone.
pub fn random(decoder: &Decoder, seed: u64, dtype: DType, exec: &Exec, host: &Host) -> Result<Params> {
    if !matches!(dtype, DType::F32 | DType::BF16) {
        return Err(Error::argument(format!("weights are held in f32 or bf16, not {}", dtype.as_str())));
    }
    let config = decoder.config();
    let deviation = match config.json().get("initializer_range") {
        None => DEVIATION,
        Some(value) => value.as_f64().filter(|d| d.is_finite() && *d > 0.0).ok_or_else(|| {
            Error::argument(format!("initializer_range must be a number above 0, not {value}"))
        })?,
    };
    let residual = deviation / (2.0 * config.layers.len().max(1) as f64).sqrt();
    let root = Rng::new(seed);
    let make = |spec: &ParamSpec| -> Result<Tensor> {
        host.cancel.check()?;
        let writes = spec.name.ends_with("o_proj.weight") || spec.name.ends_with("down_proj.weight");
        let scale = if writes { residual } else { deviation };
        let mut rng = root.fork(&spec.name);
        let mut value = || match spec.role {
            Role::Norm if config.norm_offset => 0.0,
            Role::Norm => 1.0,
            Role::Bias => 0.0,
            Role::Embed | Role::Attention | Role::Mlp | Role::Head | Role::Lora => {
                (rng.normal() * scale) as f32
            }
        };
        let (count, shape) = (spec.entries() as usize, spec.shape.as_slice());
        // An embedding of a large model held as f32 on its way to bf16 would be the peak of a run.
        Ok(match Params::dtype_of(spec.role, dtype) {
            DType::BF16 => {
                let values: Vec<bf16> = (0..count).map(|_| bf16::from_f32(value())).collect();
                Tensor::from_vec(values, shape, exec.device())?
            }
            _ => Tensor::from_vec((0..count).map(|_| value()).collect::<Vec<f32>>(), shape, exec.device())?,
        })
    };
    let specs = decoder.universe().specs();
    let tensors = exec.run(|| specs.par_iter().map(make).collect::<Result<_>>())?;
    Params::new(decoder.universe().clone(), tensors)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::model::Config;

    fn tiny() -> Decoder {
        let config = Config::from_json(&json!({
            "architectures": ["LlamaForCausalLM"], "model_type": "llama", "vocab_size": 40, "hidden_size": 32,
            "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2,
            "rms_norm_eps": 1e-5, "rope_theta": 10000.0, "max_position_embeddings": 64,
            "tie_word_embeddings": true, "hidden_act": "silu"
        }))
        .expect("a config");
        Decoder::new(&config).expect("a decoder")
    }

    #[test]
    fn a_seed_means_the_same_weights_and_residual_writers_are_smaller() {
        let make = |seed| random(&tiny(), seed, DType::F32, &Exec::cpu(), &Host::default()).expect("weights");
        let bits = |p: &Params, name: &str| {
            p.by_name(name).and_then(|t| Ok(t.flatten_all()?.to_vec1::<f32>()?)).expect("values")
        };
        let name = "model.layers.1.mlp.down_proj.weight";
        let (a, b, c) = (make(1), make(1), make(2));
        assert_eq!(bits(&a, name), bits(&b, name));
        assert_ne!(bits(&a, name), bits(&c, name));
        let deviation =
            |v: Vec<f32>| (v.iter().map(|x| f64::from(x * x)).sum::<f64>() / v.len() as f64).sqrt();
        assert!((deviation(bits(&a, name)) - 0.01).abs() < 1e-3);
        assert!((deviation(bits(&a, "model.layers.1.mlp.up_proj.weight")) - 0.02).abs() < 2e-3);
        assert!(bits(&a, "model.norm.weight").iter().all(|x| *x == 1.0));
    }
}
