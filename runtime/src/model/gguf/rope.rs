//! Rotary frequencies that a GGUF file stores as a table, back to the words of a configuration.

use serde_json::{Value, json};

use super::header::Gguf;
use super::source::dequantise;
use crate::model::config::{Rope, RopeScaling};
use crate::{Error, Result};

/// A table of the file as numbers, if it is there.
fn table(file: &Gguf, name: &str) -> Result<Option<Vec<f32>>> {
    let Some(entry) = file.tensors().get(name) else { return Ok(None) };
    let read = dequantise(file, entry).and_then(|t| t.flatten_all()?.to_vec1::<f32>());
    read.map(Some).map_err(|e| Error::format(file.path(), format!("tensor {name}: {e}")))
}

/// What `rope_scaling` of a configuration would say, if the file changes frequencies for long
/// contexts.
pub(super) fn scaling(file: &Gguf, arch: &str, theta: f64, dims: usize) -> Result<Option<Value>> {
    let meta = file.metadata();
    if let Some(divisors) = table(file, "rope_freqs.weight")? {
        return llama3(&divisors, theta, dims).ok_or_else(|| {
            Error::format(
                file.path(),
                "tensor rope_freqs.weight holds frequencies that are none of Llama 3's scalings, which cannot be expressed",
            )
        });
    }
    if let (Some(long), Some(short)) =
        (table(file, "rope_factors_long.weight")?, table(file, "rope_factors_short.weight")?)
    {
        return Ok(Some(json!({ "rope_type": "longrope", "long_factor": long, "short_factor": short })));
    }
    match meta.text_or(&format!("{arch}.rope.scaling.type"))? {
        None | Some("none") => Ok(None),
        Some("linear") => {
            let factor = meta.number(&format!("{arch}.rope.scaling.factor"))?;
            Ok((factor != 1.0).then(|| json!({ "rope_type": "linear", "factor": factor })))
        }
        Some(other) => {
            let factor = meta.number_or(&format!("{arch}.rope.scaling.factor"))?;
            let original = meta.size_or(&format!("{arch}.rope.scaling.original_context_length"))?;
            Ok(Some(json!({
                "rope_type": other, "factor": factor, "original_max_position_embeddings": original,
            })))
        }
    }
}

/// The parameters of Llama 3's scaling from the divisors it gives. The file keeps the divisors
/// only; all published models agree on everything but the largest one, which is the factor. What
/// this yields is compared with the whole table. `Some(None)`: nothing is scaled.
fn llama3(divisors: &[f32], theta: f64, dims: usize) -> Option<Option<Value>> {
    let factor = divisors.iter().copied().fold(0.0f32, f32::max);
    if divisors.len() != dims / 2 {
        return None;
    }
    if divisors.iter().all(|&d| d == 1.0) {
        return Some(None);
    }
    let (low, high, original) = (1.0, 4.0, 8192.0);
    let scaling = RopeScaling::Llama3 {
        factor: f64::from(factor),
        low_freq_factor: low,
        high_freq_factor: high,
        original_positions: original,
    };
    let plain = Rope { theta, dims, scaling: RopeScaling::None }.frequencies();
    let scaled = Rope { theta, dims, scaling }.frequencies();
    let agrees = |((p, s), d): ((&f32, &f32), &f32)| (p / s / d - 1.0).abs() < 1e-3;
    plain.iter().zip(&scaled).zip(divisors).all(agrees).then(|| {
        Some(json!({
            "rope_type": "llama3", "factor": factor, "low_freq_factor": low, "high_freq_factor": high,
            "original_max_position_embeddings": original as u64,
        }))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_scaling_of_llama_3_is_found_in_its_divisors() {
        let (theta, dims) = (500_000.0, 64);
        let scaling = RopeScaling::Llama3 {
            factor: 32.0,
            low_freq_factor: 1.0,
            high_freq_factor: 4.0,
            original_positions: 8192.0,
        };
        let plain = Rope { theta, dims, scaling: RopeScaling::None }.frequencies();
        let scaled = Rope { theta, dims, scaling }.frequencies();
        let mut divisors: Vec<f32> = plain.iter().zip(&scaled).map(|(p, s)| p / s).collect();
        let found = llama3(&divisors, theta, dims).expect("known").expect("scaled");
        assert_eq!(found["factor"], json!(32.0));
        divisors[5] = 3.0;
        assert!(llama3(&divisors, theta, dims).is_none());
        assert_eq!(llama3(&[1.0; 32], theta, dims), Some(None));
    }
}
