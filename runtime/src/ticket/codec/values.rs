//! Values as steps: int8 and ternary, with the size of the step for each row.
//!
//! Only rows that have entries have a step. Five ternary values share a byte: as digits in base 3,
//! the first one the lowest, 0 for minus, 1 for nothing and 2 for plus.

use std::ops::Range;

use roaring::RoaringBitmap;

use super::ValueType;
use crate::model::ParamSpec;
use crate::{Error, Result};

/// The entries of one row of a parameter, as a range of the parameter's values.
pub type Row = Range<usize>;

/// The rows of a parameter that have entries.
pub type Rows = Vec<Row>;

/// The rows of a set that have entries.
pub fn rows_of(spec: &ParamSpec, set: &RoaringBitmap) -> Rows {
    let cols = spec.rows_cols().1 as u64;
    let mut rows: Rows = Vec::new();
    // The first entry of the next row.
    let mut end = 0;
    for (i, entry) in set.iter().enumerate() {
        match rows.last_mut() {
            Some(row) if u64::from(entry) < end => row.end = i + 1,
            _ => {
                end = (u64::from(entry) / cols + 1) * cols;
                rows.push(i..i + 1);
            }
        }
    }
    rows
}

/// How far written values are from what they stand for.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Loss {
    /// The largest difference.
    pub max: f64,
    square: f64,
    of: f64,
}

impl Loss {
    /// Counts written values against exact ones.
    pub fn add(&mut self, exact: &[f32], written: &[f32]) {
        for (&exact, &written) in exact.iter().zip(written) {
            // Infinities are written as they are, and are no difference.
            if exact.to_bits() != written.to_bits() && !exact.is_nan() {
                let off = f64::from(exact) - f64::from(written);
                self.max = self.max.max(off.abs());
                self.square += off * off;
            }
            if exact.is_finite() {
                self.of += f64::from(exact) * f64::from(exact);
            }
        }
    }

    /// The length of the difference over the length of what was to be written (Euclidean); 0 of
    /// nothing.
    pub fn relative(&self) -> f64 {
        if self.of > 0.0 { (self.square / self.of).sqrt() } else { 0.0 }
    }
}

/// The steps of values, and the size of a step for each row. A value that is not finite is an
/// error.
pub fn quantise(
    spec: &ParamSpec,
    values: &[f32],
    rows: &[Row],
    kind: ValueType,
) -> Result<(Vec<i8>, Vec<f32>)> {
    if let Some(v) = values.iter().find(|v| !v.is_finite()) {
        return Err(Error::argument(format!(
            "parameter {} is to hold {v}, which {} cannot write: write f32 or bf16",
            spec.name,
            kind.as_str()
        )));
    }
    let mut steps = vec![0; values.len()];
    let mut sizes = Vec::with_capacity(rows.len());
    for row in rows {
        let (values, steps) = (&values[row.clone()], &mut steps[row.clone()]);
        let size = if kind == ValueType::Int8 { int8(values, steps) } else { ternary(values, steps) };
        sizes.push(size);
    }
    Ok((steps, sizes))
}

fn int8(values: &[f32], steps: &mut [i8]) -> f32 {
    let most = values.iter().fold(0f32, |m, v| m.max(v.abs()));
    let mut size = most / 127.0;
    if (127.0 * size).is_infinite() {
        size = size.next_down();
    }
    // A row of zeros, or of numbers so small that their step is 0.
    if size == 0.0 {
        return 0.0;
    }
    for (step, v) in steps.iter_mut().zip(values) {
        *step = (v / size).round().clamp(-127.0, 127.0) as i8;
    }
    size
}

/// The least square error: with the k largest magnitudes kept at their mean m, it is the square of
/// all less k m^2, so the k that makes k m^2 largest is the best one.
fn ternary(values: &[f32], steps: &mut [i8]) -> f32 {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|&a, &b| values[b].abs().total_cmp(&values[a].abs()));
    let (mut sum, mut best) = (0.0, (0.0, 0, 0.0));
    for (i, &at) in order.iter().enumerate() {
        sum += f64::from(values[at].abs());
        let kept = (i + 1) as f64;
        if sum * sum / kept > best.0 {
            best = (sum * sum / kept, i + 1, sum / kept);
        }
    }
    for &at in &order[..best.1] {
        steps[at] = if values[at] < 0.0 { -1 } else { 1 };
    }
    best.2 as f32
}

/// The values that steps stand for. There is a size for each row.
pub fn restore(steps: &[i8], sizes: &[f32], rows: &[Row]) -> Vec<f32> {
    let mut values = vec![0.0; steps.len()];
    for (row, size) in rows.iter().zip(sizes) {
        for (value, &step) in values[row.clone()].iter_mut().zip(&steps[row.clone()]) {
            *value = f32::from(step) * size;
        }
    }
    values
}

/// Ternary steps as bytes.
pub fn pack(steps: &[i8]) -> Vec<u8> {
    let byte = |five: &[i8]| five.iter().rev().fold(0, |byte, &step| byte * 3 + (step + 1) as u8);
    steps.chunks(5).map(byte).collect()
}

/// The steps of bytes, of which there are `len`; `None` if the bytes are not those of so many.
pub fn unpack(bytes: &[u8], len: usize) -> Option<Vec<i8>> {
    if bytes.len() != len.div_ceil(5) {
        return None;
    }
    let mut steps = Vec::with_capacity(len + 4);
    for &byte in bytes {
        let mut rest = byte;
        for _ in 0..5 {
            steps.push((rest % 3) as i8 - 1);
            rest /= 3;
        }
        if rest != 0 {
            return None;
        }
    }
    // The last byte is written as if filled with the digit 0.
    let padded = steps.drain(len..).all(|step| step == -1);
    padded.then_some(steps)
}
