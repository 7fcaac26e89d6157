//! `arcee_fusion`: the base, with those entries of another model that matter: where the difference,
//! times how far the two rows lie apart as distributions, is above the median by one and a half
//! times the distance between the quartiles.
//!
//! Distances are computed in f64: in f32, as mergekit does, those of rows that differ little are
//! mostly rounding. Quartiles are exact whatever the size; mergekit draws a million entries of
//! larger tensors.

use super::sparsify::Computed;
use crate::Result;
use crate::mask::keys::magnitude;
use crate::merge::group::Unit;
use crate::merge::method::Base;
use crate::merge::{Group, Method, Sink, Spec};

pub(super) struct ArceeFusion(Spec);

impl ArceeFusion {
    pub(super) fn new() -> Self {
        Self(
            Spec::new(
                "arcee_fusion",
                "The base, with those entries of another model that matter.",
                "arcee.ai",
            )
            .base(Base::Required)
            .inputs(2, Some(2)),
        )
    }
}

impl Method for ArceeFusion {
    fn spec(&self) -> &Spec {
        &self.0
    }

    fn merge(&self, group: &Group<'_>, sink: &dyn Sink) -> Result<()> {
        let base = group.base().unwrap_or(0);
        let read = vec![1 - base, base];
        let cols = group.cols();
        let rows = group.fold(Unit::Rows, &read, |_, values| {
            let rows = values[0].chunks(cols).zip(values[1].chunks(cols));
            Ok(rows.map(|(tuned, base)| divergence(tuned, base)).collect::<Vec<f64>>())
        })?;
        let rows: Vec<f64> = rows.into_iter().flatten().collect();
        let importance = |start: usize, values: &[&[f32]], out: &mut [f32]| {
            for (i, (out, (tuned, base))) in out.iter_mut().zip(values[0].iter().zip(values[1])).enumerate() {
                *out = (f64::from((tuned - base).abs()) * rows[(start + i) / cols]) as f32;
            }
        };
        let scores = Computed::new(group, read.clone(), importance)?;
        let n = group.len() as u64;
        let quantile = |share: f32| -> Result<f32> {
            let at = (share * (n - 1) as f32) as u64;
            Ok(scores.cut(n - at.min(n - 1))?.map_or(0.0, |cut| f32::from_bits(cut.key)))
        };
        let (low, median, high) = (quantile(0.25)?, quantile(0.5)?, quantile(0.75)?);
        let threshold = median + 1.5 * (high - low);
        group.write(sink, Unit::Entries, &read, |piece, values, out| {
            let mut scores = vec![0.0; piece.len];
            importance(piece.start, values, &mut scores);
            for ((out, score), (tuned, base)) in
                out.iter_mut().zip(&scores).zip(values[0].iter().zip(values[1]))
            {
                *out = if magnitude(*score) >= magnitude(threshold) { base + (tuned - base) } else { *base };
            }
            Ok(())
        })
    }
}

/// The Kullback-Leibler divergence of two rows as softmax distributions, each probability raised by
/// 1e-8.
fn divergence(tuned: &[f32], base: &[f32]) -> f64 {
    let softmax = |row: &[f32]| -> Vec<f64> {
        let most = row.iter().fold(f32::NEG_INFINITY, |a, b| a.max(*b));
        let exp: Vec<f64> = row.iter().map(|v| f64::from(v - most).exp()).collect();
        let sum: f64 = exp.iter().sum();
        exp.into_iter().map(|e| e / sum + 1e-8).collect()
    };
    let (p, q) = (softmax(tuned), softmax(base));
    p.iter().zip(&q).map(|(p, q)| p * (p / q).ln()).sum::<f64>().max(0.0)
}
