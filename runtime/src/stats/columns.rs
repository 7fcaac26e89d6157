//! Sums over tokens of a function of each feature, in f64.

use candle_core::{DType, Device, Tensor};
use rayon::prelude::*;

use crate::Result;
use crate::ops::{Exec, slice};

/// Features that one thread sums up. Each is summed token by token, so sums depend neither on the number of threads nor on
/// how the tokens are cut into batches.
const STRETCH: usize = 128;

/// What is summed.
#[derive(Clone, Copy, Debug)]
pub(super) enum Of {
    Squares,
    Magnitudes,
}

/// Sums for each feature of each layer that was seen.
pub(super) struct Sums {
    of: Of,
    by_weight: Vec<Option<Vec<f64>>>,
}

impl Sums {
    /// No sums yet, for a model of so many parameters.
    pub fn new(of: Of, params: usize) -> Self {
        Self { of, by_weight: vec![None; params] }
    }

    /// Adds what flowed through a layer, `[T, features]`.
    pub fn add(&mut self, exec: &Exec, weight: usize, flow: &Tensor) -> Result<()> {
        let width = flow.dim(1)?;
        let sums = self.by_weight[weight].get_or_insert_with(|| vec![0.0; width]);
        if exec.fast(flow) {
            return match self.of {
                Of::Squares => add_rows(exec, sums, flow, |v| v * v),
                Of::Magnitudes => add_rows(exec, sums, flow, f64::abs),
            };
        }
        // Metal has no f64: there, the sums of a batch are f32.
        let wide = if flow.device().is_metal() { flow.clone() } else { flow.to_dtype(DType::F64)? };
        let each = match self.of {
            Of::Squares => wide.sqr()?,
            Of::Magnitudes => wide.abs()?,
        };
        let batch = each.sum(0)?.to_device(&Device::Cpu)?.to_dtype(DType::F64)?.to_vec1::<f64>()?;
        sums.iter_mut().zip(batch).for_each(|(sum, more)| *sum += more);
        Ok(())
    }

    /// A vector for each layer: `finish` of each sum, as f32.
    pub fn finish(self, device: &Device, finish: impl Fn(f64) -> f64) -> Result<Vec<Option<Tensor>>> {
        let vector = |sums: Vec<f64>| {
            let numbers: Vec<f32> = sums.into_iter().map(|sum| finish(sum) as f32).collect();
            let len = numbers.len();
            Ok(Tensor::from_vec(numbers, len, device)?)
        };
        self.by_weight.into_iter().map(|sums| sums.map(vector).transpose()).collect()
    }
}

/// Adds `each` of every number of its column to `sums`.
fn add_rows(
    exec: &Exec,
    sums: &mut [f64],
    flow: &Tensor,
    each: impl Fn(f64) -> f64 + Sync + Send,
) -> Result<()> {
    let width = sums.len();
    let flow = slice::read(flow)?;
    let guard = flow.lock();
    let values = guard.f32()?;
    exec.run(|| {
        sums.par_chunks_mut(STRETCH).enumerate().for_each(|(i, sums)| {
            for row in values.chunks_exact(width) {
                let part = &row[i * STRETCH..][..sums.len()];
                sums.iter_mut().zip(part).for_each(|(sum, &v)| *sum += each(f64::from(v)));
            }
        });
    });
    Ok(())
}
