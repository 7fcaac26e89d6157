//! Gram matrices of inputs, `XᵀX` over all tokens. Products within a batch are summed in f32, whatever products of the model
//! multiply as; batches are added up in f64.

use candle_core::{DType, Device, Tensor};
use rayon::prelude::*;

use super::gather::Gather;
use crate::Result;
use crate::ops::{Compute, Exec, linear};

/// Numbers that one thread adds up at a time.
const STRETCH: usize = 1 << 14;

/// Gathers Gram matrices.
pub(super) struct Grams {
    /// For each layer that was seen its width and the sum so far, row by row.
    sums: Vec<Option<(usize, Vec<f64>)>>,
}

impl Grams {
    pub fn new(params: usize) -> Self {
        Self { sums: vec![None; params] }
    }

    /// The bytes that the matrix of one layer takes: its sum, and at the end the result.
    pub fn bytes(width: usize) -> u64 {
        let entries = (width as u64).saturating_mul(width as u64);
        entries.saturating_mul((size_of::<f64>() + size_of::<f32>()) as u64)
    }
}

impl Gather for Grams {
    fn add(&mut self, exec: &Exec, weight: usize, flow: &Tensor) -> Result<()> {
        let width = flow.dim(1)?;
        let exact = exec.clone().with_compute(Compute::F32);
        let product = linear::weight_grad_dense(&exact, flow, flow)?;
        let batch = product.to_dtype(DType::F32)?.flatten_all()?.to_device(&Device::Cpu)?.to_vec1::<f32>()?;
        let (_, sums) = self.sums[weight].get_or_insert_with(|| (width, vec![0.0; width * width]));
        exec.run(|| {
            sums.par_chunks_mut(STRETCH).zip(batch.par_chunks(STRETCH)).for_each(|(sums, batch)| {
                sums.iter_mut().zip(batch).for_each(|(sum, &more)| *sum += f64::from(more));
            });
        });
        Ok(())
    }

    fn finish(self: Box<Self>, _: u64, device: &Device) -> Result<Vec<Option<Tensor>>> {
        let matrix = |(width, sums): (usize, Vec<f64>)| {
            let numbers: Vec<f32> = sums.into_iter().map(|sum| sum as f32).collect();
            Ok(Tensor::from_vec(numbers, (width, width), device)?)
        };
        self.sums.into_iter().map(|sums| sums.map(matrix).transpose()).collect()
    }
}
