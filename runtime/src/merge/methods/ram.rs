//! `ram` and `ramplus_tl`: entries that one model moved are added whole, entries that several moved
//! are averaged over those (arXiv 2601.13572). `ramplus_tl` makes the unique ones count more, by how
//! much of a model's tensor is shared.

use crate::Result;
use crate::merge::group::Unit;
use crate::merge::method::Base;
use crate::merge::settings::ANY;
use crate::merge::{Group, Method, Sink, Spec};

pub(super) struct Ram {
    spec: Spec,
    plus: bool,
}

impl Ram {
    pub(super) fn plain() -> Self {
        let doc = "Entries that one model moved are added, those that several moved are averaged.";
        Self { spec: spec("ram", doc), plus: false }
    }

    pub(super) fn plus() -> Self {
        let spec = spec("ramplus_tl", "Like ram, with unique entries made to count more, tensor by tensor.")
            .number("r", 0.1, "how strongly unique entries are raised")
            .number("alpha", 0.2, "the most that the share of shared entries counts");
        Self { spec, plus: true }
    }
}

fn spec(name: &'static str, doc: &'static str) -> Spec {
    Spec::new(name, doc, "arXiv 2601.13572")
        .number("epsilon", 1e-5, "an entry has moved if it has by more than this")
        .between(0.0, ANY.1)
        .base(Base::Required)
}

impl Method for Ram {
    fn spec(&self) -> &Spec {
        &self.spec
    }

    fn merge(&self, group: &Group<'_>, sink: &dyn Sink) -> Result<()> {
        let others = group.others();
        let n = others.len();
        let mut read = others.clone();
        read.extend(group.base());
        if n == 0 {
            return group.copy(sink, read[0]);
        }
        let wide = group.params.number("epsilon");
        let epsilon = wide as f32;
        let mut raise = vec![1.0f32; n];
        if self.plus {
            let parts = group.fold(Unit::Entries, &read, |_, values| {
                let mut counts = vec![(0u64, 0u64); n];
                each(values, epsilon, |_, _, moved, count| {
                    for (counts, moved) in counts.iter_mut().zip(moved) {
                        counts.0 += u64::from(*moved && count > 1);
                        counts.1 += u64::from(*moved && count == 1);
                    }
                });
                Ok(counts)
            })?;
            let (r, alpha) = (group.params.number("r"), group.params.number("alpha"));
            for (i, raise) in raise.iter_mut().enumerate() {
                let (shared, unique) =
                    parts.iter().fold((0, 0), |(s, u), part| (s + part[i].0, u + part[i].1));
                let rho = shared as f64 / (unique as f64).max(wide);
                *raise = (1.0 + r * rho.max(0.0).min(alpha)) as f32;
            }
        }
        group.write(sink, Unit::Entries, &read, |_, values, out| {
            each(values, epsilon, |at, deltas, moved, count| {
                let mut sum = 0.0;
                for ((delta, moved), raise) in deltas.iter().zip(moved).zip(&raise) {
                    if *moved {
                        sum += if count > 1 { delta / count as f32 } else { delta * raise };
                    }
                }
                out[at] = values[n][at] + sum;
            });
            Ok(())
        })
    }
}

/// Calls `f(entry, deltas, moved, how many moved)` for each entry; the last of `values` is the base.
fn each(values: &[&[f32]], epsilon: f32, mut f: impl FnMut(usize, &[f32], &[bool], usize)) {
    let Some((base, others)) = values.split_last() else { return };
    let mut deltas = vec![0.0; others.len()];
    let mut moved = vec![false; others.len()];
    for (at, base) in base.iter().enumerate() {
        let mut count = 0;
        for ((delta, moved), values) in deltas.iter_mut().zip(&mut moved).zip(others) {
            *delta = values[at] - base;
            *moved = delta.abs() > epsilon;
            count += usize::from(*moved);
        }
        f(at, &deltas, &moved, count);
    }
}
