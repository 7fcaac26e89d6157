//! `sce`: the entries in which the models differ most, those that agree in sign, weighted by how far
//! each model moved (select, calculate, erase; arXiv 2408.07990).
//!
//! As in mergekit, weights are equal where the squares of all task vectors have means that add up to
//! less than 1e-6: so they are for most fine-tunes, whose entries move by less than 1e-3. With
//! `scale_free` they are what the paper says, however little models moved.

use super::sparsify::{Bound, Computed, Keep, Window};
use crate::Result;
use crate::merge::group::{Piece, Unit};
use crate::merge::method::Base;
use crate::merge::{Group, Method, Sink, Spec, kernels};

pub(super) struct Sce(Spec);

impl Sce {
    pub(super) fn new() -> Self {
        Self(
            Spec::new(
                "sce",
                "The entries in which models differ most, those that agree in sign.",
                "arXiv 2408.07990",
            )
            .number("select_topk", 1.0, "the fraction of the entries with any variance that stays")
            .between(0.0, 1.0)
            .flag("int8_mask", false, "accepted for mergekit's sake, where it saves memory; changes nothing")
            .base(Base::Required),
        )
    }
}

impl Method for Sce {
    fn spec(&self) -> &Spec {
        &self.0
    }

    fn merge(&self, group: &Group<'_>, sink: &dyn Sink) -> Result<()> {
        let others = group.others();
        let n = others.len();
        let base = group.base().unwrap_or(0);
        if n == 0 {
            return group.copy(sink, base);
        }
        let mut read = others;
        read.push(base);
        let topk = group.params.number("select_topk");
        let selected = if topk < 1.0 { Some(select(group, &read, topk)?) } else { None };
        let squares = group.fold(Unit::Entries, &read, |piece, values| {
            let deltas = deltas(values, piece, selected.as_ref())?;
            let square = |delta: &Vec<f32>| delta.iter().map(|v| f64::from(v * v)).sum::<f64>();
            Ok(deltas.iter().map(square).collect::<Vec<f64>>())
        })?;
        let len = group.len().max(1) as f64;
        let means: Vec<f64> = (0..n).map(|i| squares.iter().map(|s| s[i]).sum::<f64>() / len).collect();
        let total: f64 = means.iter().sum();
        let least = if group.params.flag("scale_free") { f64::MIN_POSITIVE } else { 1e-6 };
        let weight = |mean: &f64| if total < least { 1.0 / n as f64 } else { mean / total };
        let weights: Vec<f32> = means.iter().map(|mean| weight(mean) as f32).collect();
        group.write(sink, Unit::Entries, &read, |piece, values, out| {
            let deltas = deltas(values, piece, selected.as_ref())?;
            let mut total = vec![0.0; piece.len];
            deltas.iter().for_each(|delta| kernels::add(&mut total, delta));
            let mut divisor = vec![0.0f32; piece.len];
            for (delta, weight) in deltas.iter().zip(&weights) {
                for (((out, divisor), total), v) in out.iter_mut().zip(&mut divisor).zip(&total).zip(delta) {
                    let agrees = if *total >= 0.0 { *v > 0.0 } else { *v < 0.0 };
                    if agrees {
                        *out += v * weight;
                        *divisor += weight;
                    }
                }
            }
            for ((out, divisor), base) in out.iter_mut().zip(&divisor).zip(values[n]) {
                *out = base + *out / divisor.max(1e-6);
            }
            Ok(())
        })
    }
}

/// The variance over the models, entry by entry.
fn variance(values: &[&[f32]], out: &mut [f32]) {
    let Some((base, others)) = values.split_last() else { return };
    let (mut means, mut squares) = (vec![0.0f64; out.len()], vec![0.0f64; out.len()]);
    for (count, values) in others.iter().enumerate() {
        kernels::welford(&mut means, &mut squares, values, base, 1.0 / (count + 1) as f64);
    }
    let n = others.len() as f64;
    out.iter_mut().zip(&squares).for_each(|(out, squares)| *out = (squares / n) as f32);
}

/// The entries with the most variance.
fn select(group: &Group<'_>, read: &[usize], topk: f64) -> Result<Selected> {
    let scores = Computed::new(group, read.to_vec(), |_, values, out| variance(values, out))?;
    let counts = group.fold(Unit::Entries, read, |piece, values| {
        let mut scores = vec![0.0; piece.len];
        variance(values, &mut scores);
        Ok(scores.iter().filter(|v| **v != 0.0).count() as u64)
    })?;
    let nonzero: u64 = counts.iter().sum();
    // The product is mergekit's, which is an f32.
    let k = if topk <= 0.0 { 0 } else { (nonzero as f32 * topk as f32) as u64 };
    let cut = scores.cut(k)?;
    let inside = match cut {
        None => None,
        Some(cut) => {
            let at = group.fold(Unit::Entries, read, |piece, values| {
                let mut scores = vec![0.0; piece.len];
                variance(values, &mut scores);
                Ok(kernels::count_at(&scores, cut.key))
            })?;
            Some(Bound::new(cut, at.into_iter()))
        }
    };
    let starts = group.pieces(Unit::Entries).iter().map(|p| p.start).collect();
    Ok(Selected(Window { inside, outside: None, scale: 1.0, starts }))
}

struct Selected(Window);

/// The task vectors of a piece, with zeros where nothing is selected.
fn deltas(values: &[&[f32]], piece: Piece, selected: Option<&Selected>) -> Result<Vec<Vec<f32>>> {
    let Some((base, others)) = values.split_last() else { return Ok(Vec::new()) };
    let mut keep = None;
    if let Some(Selected(window)) = selected {
        let mut scores = vec![0.0; piece.len];
        variance(values, &mut scores);
        window.apply(piece, &mut scores)?;
        // A variance of zero means equal task vectors: it is selected only where all of them are.
        keep = Some(scores);
    }
    let mut out = Vec::with_capacity(others.len());
    for values in others {
        let mut delta = vec![0.0; piece.len];
        kernels::difference(&mut delta, values, base);
        if let Some(keep) = &keep {
            delta.iter_mut().zip(keep).filter(|(_, keep)| **keep == 0.0).for_each(|(delta, _)| *delta = 0.0);
        }
        out.push(delta);
    }
    Ok(out)
}
