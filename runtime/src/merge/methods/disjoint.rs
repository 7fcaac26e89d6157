//! `disjoint`: every task vector added exactly, where no two change the same entry. It is made for tickets with
//! disjoint masks. Where masks overlap it is an error, unless the parameter `overlap` says what to do.

use super::claims::claims;
use super::inputs::Inputs;
use crate::merge::group::Unit;
use crate::merge::method::Base;
use crate::merge::settings::{Kind, Scalar, Scope};
use crate::merge::{Group, Method, Sink, Spec};
use crate::{Error, Result};

pub(super) struct Disjoint(Spec);

impl Disjoint {
    pub(super) fn new() -> Self {
        Self(
            Spec::new("disjoint", "Task vectors that share no entry, whole and exact.", "lota")
                .base(Base::Required)
                .each("weight", 1.0, "multiplies the task vector")
                .param(
                    "overlap",
                    Kind::Word(&["refuse", "sum", "mean", "first", "last", "largest"]),
                    Scope::Shared,
                    Some(Scalar::Word("refuse")),
                    "what becomes of entries that several change: refuse, sum, mean, first, last, largest",
                ),
        )
    }
}

impl Method for Disjoint {
    fn spec(&self) -> &Spec {
        &self.0
    }

    fn merge(&self, group: &Group<'_>, sink: &dyn Sink) -> Result<()> {
        let Inputs { others, read, weights } = Inputs::of(group);
        let n = others.len();
        let overlap = group.params.word("overlap");
        if overlap == "refuse" {
            refuse(group, &others, &read)?;
        }
        group.write(sink, Unit::Entries, &read, |piece, values, out| {
            let claimed = claims(group, &others, piece, values);
            out.copy_from_slice(values[n]);
            for (at, out) in out.iter_mut().enumerate() {
                let base = *out;
                let delta = |i: usize| weights[i] * (values[i][at] - base);
                let who = || (0..n).filter(|&i| claimed[i][at]);
                let (Some(first), Some(last)) = (who().next(), who().next_back()) else { continue };
                // An entry changed by one input with weight 1 keeps its bits: adding the difference might not.
                let alone = |i: usize| if weights[i] == 1.0 { values[i][at] } else { base + delta(i) };
                *out = match overlap {
                    _ if first == last => alone(first),
                    "sum" => base + who().map(delta).sum::<f32>(),
                    "mean" => base + who().map(delta).sum::<f32>() / who().count() as f32,
                    "last" => alone(last),
                    "largest" => {
                        let more =
                            |best: usize, i: usize| if delta(i).abs() > delta(best).abs() { i } else { best };
                        alone(who().fold(first, more))
                    }
                    _ => alone(first),
                };
            }
            Ok(())
        })
    }
}

/// An error that names two inputs that change the same entries, if there are such.
fn refuse(group: &Group<'_>, others: &[usize], read: &[usize]) -> Result<()> {
    let parts = group.fold(Unit::Entries, read, |piece, values| {
        let claimed = claims(group, others, piece, values);
        // Of each entry how many change it, and the first that does.
        let mut owners = vec![(0u32, 0usize); piece.len];
        let mut shared: Option<(usize, usize, u64)> = None;
        for (i, claimed) in claimed.iter().enumerate() {
            for (owner, _) in owners.iter_mut().zip(claimed).filter(|(_, claimed)| **claimed) {
                match owner.0 {
                    0 => owner.1 = i,
                    1 => shared.get_or_insert((owner.1, i, 0)).2 += 1,
                    _ => {}
                }
                owner.0 += 1;
            }
        }
        Ok(shared)
    })?;
    let shared: u64 = parts.iter().flatten().map(|p| p.2).sum();
    match parts.iter().flatten().next() {
        None => Ok(()),
        Some((a, b, _)) => Err(Error::argument(format!(
            "disjoint: {shared} entries of {} are changed by more than one model, {} and {} among them: keep the masks \
             apart (lota.mask.difference, LoTTO), or say overlap = \"sum\", \"mean\", \"first\", \"last\" or \"largest\"",
            group.name, group.entries[others[*a]].label, group.entries[others[*b]].label
        ))),
    }
}
