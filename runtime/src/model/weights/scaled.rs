//! Weights that are stored as 8-bit floats with scales: a number is its float times the scale of its block.
//!
//! The formula is that of transformers (`Fp8Dequantize`), and for a scale for each row that of compressed-tensors, which
//! rounds to the type of the scales.

use std::ops::Range;

use half::{bf16, f16};
use rayon::prelude::*;

use super::convert::{CHUNK, Stored, first};
use super::float8::e8m0;
use crate::model::quantization::Quantization;

/// The ends of the names of scales, behind that of their tensor.
pub(super) const ENDS: [&str; 2] = ["_scale_inv", "_scale"];

/// The type of a stored scale.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Float(Stored),
    /// A power of two.
    Power,
}

/// How the numbers of one tensor are scaled. A tensor is a row of matrices, each with a grid of scales.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Scaling {
    kind: Kind,
    /// Rows and columns of a matrix.
    matrix: [usize; 2],
    /// Rows and columns of a block.
    block: [usize; 2],
    /// Rows and columns of the scales of a matrix.
    grid: [usize; 2],
    rounded: bool,
}

impl Scaling {
    /// Of a tensor of `shape` with scales of type `dtype` and shape `grid`, or what is wrong with them.
    pub(super) fn new(
        shape: &[usize],
        dtype: &str,
        scales: &[usize],
        quantization: &Quantization,
    ) -> Result<Self, String> {
        let kind = match dtype {
            "F8_E8M0" | "U8" => Kind::Power,
            _ => Kind::Float(Stored::parse(dtype)?),
        };
        let wrong = || format!("of shape {shape:?} has scales of shape {scales:?}, which do not fit it");
        let &[ref stacked @ .., rows, columns] = shape else { return Err(wrong()) };
        let matrix = [rows, columns];
        let entries: usize = scales.iter().product();
        let grid = match scales {
            // One for all, one for each matrix, or one for each row.
            _ if entries == 1 && stacked.is_empty() => [1, 1],
            [outer @ .., down, across] if outer == stacked => [*down, *across],
            [of] if *of == rows && stacked.is_empty() => [rows, 1],
            _ => return Err(wrong()),
        };
        let divides = |block: [usize; 2]| (0..2).all(|i| matrix[i].div_ceil(block[i]) == grid[i]);
        let even = (0..2).all(|i| grid[i] > 0 && matrix[i].is_multiple_of(grid[i]));
        let block = match quantization.block.filter(|block| divides(*block)) {
            Some(block) => block,
            None if even => [rows / grid[0], columns / grid[1]],
            None => return Err(wrong()),
        };
        if matrix.contains(&0) || block.contains(&0) {
            return Err(wrong());
        }
        Ok(Self { kind, matrix, block, grid, rounded: quantization.rounded })
    }

    /// Multiplies `values`, the entries of the tensor from `start` on, by their scales, whose bytes are given.
    pub(super) fn apply(&self, scales: &[u8], start: usize, values: &mut [f32]) {
        let mut at = 0;
        while at < values.len() {
            let (run, scale) = self.run(start + at);
            let end = values.len().min(at + run.len());
            let scale = self.scale(scales, scale);
            for value in &mut values[at..end] {
                *value = self.round(*value * scale);
            }
            at = end;
        }
    }

    /// The same for a whole tensor, in parallel.
    pub(super) fn apply_all(&self, scales: &[u8], values: &mut [f32]) {
        values.par_chunks_mut(CHUNK).enumerate().for_each(|(i, part)| self.apply(scales, i * CHUNK, part));
    }

    /// The entries from `at` on that lie in one row of one block, and which scale is theirs.
    fn run(&self, at: usize) -> (Range<usize>, usize) {
        let [rows, columns] = self.matrix;
        let (row, column) = (at / columns, at % columns);
        let (matrix, row) = (row / rows, row % rows);
        let (down, across) = (row / self.block[0], column / self.block[1]);
        let length = ((across + 1) * self.block[1]).min(columns) - column;
        (at..at + length, (matrix * self.grid[0] + down) * self.grid[1] + across)
    }

    fn scale(&self, scales: &[u8], index: usize) -> f32 {
        let size = match self.kind {
            Kind::Float(stored) => stored.size(),
            Kind::Power => 1,
        };
        let bytes = scales.get(index * size..(index + 1) * size).unwrap_or_default();
        let scale = match self.kind {
            Kind::Power => bytes.first().map(|byte| e8m0(*byte)),
            Kind::Float(stored) => first(bytes, stored),
        };
        scale.unwrap_or(f32::NAN)
    }

    fn round(&self, value: f32) -> f32 {
        match self.kind {
            Kind::Float(Stored::BF16) if self.rounded => bf16::from_f32(value).to_f32(),
            Kind::Float(Stored::F16) if self.rounded => f16::from_f32(value).to_f32(),
            _ => value,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scaling(shape: &[usize], scales: &[usize], block: Option<[usize; 2]>) -> Result<Scaling, String> {
        let quantization = Quantization { method: "fp8".into(), block, rounded: false };
        Scaling::new(shape, "F32", scales, &quantization)
    }

    fn applied(scaling: &Scaling, scales: &[f32], entries: usize) -> Vec<f32> {
        let bytes: Vec<u8> = scales.iter().flat_map(|s| s.to_le_bytes()).collect();
        let mut all = vec![1.0; entries];
        scaling.apply_all(&bytes, &mut all);
        // Any part of it is the same part.
        for start in 0..entries {
            let mut part = vec![1.0; entries - start];
            scaling.apply(&bytes, start, &mut part);
            assert_eq!(part, all[start..]);
        }
        all
    }

    #[test]
    fn every_entry_has_the_scale_of_its_block() {
        let blocks = scaling(&[3, 5], &[2, 3], Some([2, 2])).expect("fits");
        let expected = [1., 1., 2., 2., 3., 1., 1., 2., 2., 3., 4., 4., 5., 5., 6.];
        assert_eq!(applied(&blocks, &[1., 2., 3., 4., 5., 6.], 15), expected);
        let rows = scaling(&[2, 2], &[2, 1], None).expect("fits");
        assert_eq!(applied(&rows, &[3., 4.], 4), [3., 3., 4., 4.]);
        assert_eq!(scaling(&[2, 2], &[2], None).expect("fits"), rows);
        for one in [&[][..], &[1], &[1, 1]] {
            assert_eq!(applied(&scaling(&[2, 2], one, Some([128, 128])).expect("fits"), &[7.], 4), [7.; 4]);
        }
        let stacked = scaling(&[2, 2, 2], &[2, 1, 2], None).expect("fits");
        assert_eq!(applied(&stacked, &[1., 2., 3., 4.], 8), [1., 2., 1., 2., 3., 4., 3., 4.]);
    }

    #[test]
    fn scales_that_do_not_fit_are_told() {
        for (shape, scales, block) in [
            (&[3, 5][..], &[2, 3][..], None),
            (&[3, 5], &[2, 3], Some([128, 128])),
            (&[4], &[4], None),
            (&[2, 4, 4], &[3, 1, 1], None),
            (&[0, 4], &[0, 1], None),
        ] {
            let told = scaling(shape, scales, block).expect_err("does not fit");
            assert_eq!(
                told,
                format!("of shape {shape:?} has scales of shape {scales:?}, which do not fit it")
            );
        }
    }
}
