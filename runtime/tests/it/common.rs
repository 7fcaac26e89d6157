//! What tests share: the path they run on, random models, comparisons.

use std::collections::HashMap;
use std::sync::Arc;

use candle_core::{DType, Device, Tensor};
use lota_runtime::Result;
use lota_runtime::data::{Batch, NO_LABEL};
use lota_runtime::host::{Host, Rng};
use lota_runtime::model::decoder::{Checkpoint, Grad, LossFn, LossOut, Want};
use lota_runtime::model::{Config, Decoder, Params, Role, Universe};
use lota_runtime::ops::Exec;
use serde_json::Value;

/// Whether the environment asks for the reference path.
pub fn on_the_reference_path() -> bool {
    std::env::var_os("LOTA_TEST_REFERENCE").is_some_and(|v| v == "1")
}

/// The CPU; with `LOTA_TEST_REFERENCE=1`, every operation on its reference path.
pub fn exec() -> Exec {
    let reference = on_the_reference_path();
    Exec::cpu().with_reference(reference)
}

/// A decoder from a `config.json` value.
pub fn decoder(json: &Value) -> Decoder {
    let config = Config::from_json(json).unwrap_or_else(|e| panic!("{e}: {json}"));
    Decoder::new(&config).expect("a valid layout")
}

/// Random parameters of a decoder, of sizes that keep activations near 1.
pub fn params(decoder: &Decoder, seed: u64) -> Params {
    let offset = decoder.config().norm_offset;
    let universe: &Arc<Universe> = decoder.universe();
    let mut rng = Rng::new(seed);
    let tensors = universe.specs().iter().map(|spec| {
        let (center, spread) = match spec.role {
            Role::Norm => (if offset { 0.0 } else { 1.0 }, 0.2),
            Role::Bias => (0.0, 0.2),
            Role::Embed | Role::Head => (0.0, 0.5),
            Role::Attention | Role::Mlp | Role::Lora => (0.0, 0.7 / (spec.shape[1] as f64).sqrt()),
        };
        let values: Vec<f32> = (0..spec.entries()).map(|_| (center + spread * rng.normal()) as f32).collect();
        Tensor::from_vec(values, spec.shape.clone(), &Device::Cpu).expect("a tensor")
    });
    Params::new(universe.clone(), tensors.collect()).expect("parameters")
}

/// Random tokens below `vocab`.
pub fn tokens(rng: &mut Rng, len: usize, vocab: usize) -> Vec<u32> {
    (0..len).map(|_| rng.below(vocab as u64) as u32).collect()
}

/// Sequences of these lengths, of which some positions have labels.
pub fn labelled(seed: u64, lengths: &[usize]) -> Batch {
    let mut rng = Rng::new(seed);
    let mut batch = Batch::new();
    for (example, &len) in lengths.iter().enumerate() {
        let ids = tokens(&mut rng, len, 37);
        let label = |_| if rng.uniform() < 0.3 { NO_LABEL } else { rng.below(37) as i32 };
        let labels: Vec<i32> = (0..len).map(label).collect();
        batch.append(&ids, &labels, example as u32);
    }
    batch
}

/// The loss of a batch, and the gradients that are wanted of it.
pub fn gradients(
    decoder: &Decoder,
    params: &Params,
    batch: &Batch,
    loss: &mut dyn LossFn,
    wants: &[Want],
    checkpoint: Checkpoint,
) -> (LossOut, HashMap<usize, Grad>) {
    let mut found = HashMap::new();
    let mut sink = |param: usize, grad: Grad| -> Result<()> {
        assert!(found.insert(param, grad).is_none(), "parameter {param} came twice");
        Ok(())
    };
    let out = decoder
        .backward(&exec(), &Host::default(), params, batch, loss, wants, checkpoint, &mut sink)
        .expect("a backward pass");
    (out, found)
}

/// All gradients are wanted.
pub fn all_dense(decoder: &Decoder) -> Vec<Want> {
    vec![Want::Dense; decoder.universe().len()]
}

/// The values of a tensor of any shape.
pub fn values(x: &Tensor) -> Vec<f32> {
    x.to_dtype(DType::F32).and_then(|x| x.flatten_all()).and_then(|x| x.to_vec1()).expect("values")
}

/// The largest absolute difference; infinite where shapes differ or a value is not finite.
pub fn difference(a: &Tensor, b: &Tensor) -> f32 {
    if a.dims() != b.dims() {
        return f32::INFINITY;
    }
    let differences = values(a).into_iter().zip(values(b)).map(|(a, b)| (a - b).abs());
    differences.fold(0.0, |max, d| if d.is_finite() { max.max(d) } else { f32::INFINITY })
}

/// The largest absolute value.
pub fn largest(x: &Tensor) -> f32 {
    values(x).into_iter().fold(0.0, |max, v| max.max(v.abs()))
}

/// The bits of a tensor.
pub fn bits(x: &Tensor) -> Vec<u32> {
    values(x).into_iter().map(f32::to_bits).collect()
}
