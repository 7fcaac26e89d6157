//! A right factor that is packed once for many products, and changed where it lies.

use super::{Factor, Kernels, Mat, Out, inside, threads};
#[cfg(target_arch = "x86_64")]
use super::{amx, avx512::Single, avx512bf16::Pairs, tiles};
#[cfg(target_arch = "x86_64")]
use crate::pairs::couple;
use crate::slice::Weight;
use crate::{Compute, Exec};

/// A factor `[rows, cols]` as the kernels of one numeric mode read it.
#[derive(Debug)]
pub(crate) struct Packed {
    words: Vec<f32>,
    rows: usize,
    cols: usize,
    compute: Compute,
    kernels: Kernels,
}

/// Evaluates `$work` with `$m` as the type of the kernels, or `$other` where they take no packed factors.
macro_rules! with_micro {
    ($compute:expr, $kernels:expr, $m:ident => $work:expr, $other:expr) => {
        match ($compute, $kernels) {
            (_, Kernels::Portable) => $other,
            #[cfg(target_arch = "x86_64")]
            (Compute::F32, _) => {
                type $m = Single;
                $work
            }
            #[cfg(target_arch = "x86_64")]
            (Compute::BF16, Kernels::Avx512) => $other,
            #[cfg(target_arch = "x86_64")]
            (Compute::BF16, Kernels::Avx512Bf16) => {
                type $m = Pairs;
                $work
            }
            #[cfg(target_arch = "x86_64")]
            (Compute::BF16, Kernels::Amx) => {
                type $m = amx::Tiles<amx::Unit>;
                $work
            }
            #[cfg(all(test, target_arch = "x86_64"))]
            (Compute::BF16, Kernels::AmxStandIn) => {
                type $m = amx::Tiles<amx::StandIn>;
                $work
            }
        }
    };
}

impl Packed {
    /// Packs `b`; `None` where the kernels of this processor do not take packed factors, or `b` is empty.
    pub(crate) fn new(exec: &Exec, b: Factor<'_>) -> Option<Self> {
        Self::for_kernels(exec, Kernels::best(), b)
    }

    fn for_kernels(exec: &Exec, kernels: Kernels, b: Factor<'_>) -> Option<Self> {
        assert!(
            inside(b.rows, b.cols, b.row_stride, b.col_stride, b.data.len()),
            "a matrix reaches beyond its slice"
        );
        if b.rows == 0 || b.cols == 0 {
            return None;
        }
        let (rows, cols, compute) = (b.rows, b.cols, exec.compute());
        let words = with_micro!(compute, kernels, M => tiles::pack::<M>(threads(exec), b), return None);
        Some(Self { words, rows, cols, compute, kernels })
    }

    /// The numeric mode it is packed for.
    pub(crate) fn compute(&self) -> Compute {
        self.compute
    }

    /// The memory it takes.
    pub(crate) fn bytes(&self) -> usize {
        self.words.len() * 4
    }

    /// `out = a · self` (or `out += …`): the bits of the product with the factor itself.
    pub(crate) fn product(&self, exec: &Exec, a: Mat<'_>, out: Out<'_>) {
        assert_eq!(a.cols, self.rows, "a product of matrices that do not fit");
        assert!(
            inside(a.rows, a.cols, a.row_stride, a.col_stride, a.data.len()),
            "a matrix reaches beyond its slice"
        );
        assert!(
            out.row_stride >= self.cols && inside(a.rows, self.cols, out.row_stride, 1, out.data.len()),
            "a product reaches beyond its slice"
        );
        let b = (&self.words[..], self.cols);
        with_micro!(
            self.compute, self.kernels,
            M => tiles::product_packed::<M>(threads(exec), a, b, out),
            unreachable!("these kernels pack nothing")
        );
    }

    /// Sets entries `(row, col)` to what `values` holds at the third number of each.
    pub(crate) fn set(&mut self, entries: impl Iterator<Item = (usize, usize, usize)>, values: Weight<'_>) {
        let size = (self.rows, self.cols);
        let words = &mut self.words;
        with_micro!(
            self.compute, self.kernels,
            M => set::<M>(words, size, entries, values),
            unreachable!("these kernels pack nothing")
        );
    }
}

#[cfg(target_arch = "x86_64")]
fn set<M: tiles::Micro>(
    words: &mut [f32],
    (rows, cols): (usize, usize),
    entries: impl Iterator<Item = (usize, usize, usize)>,
    values: Weight<'_>,
) {
    let plan = tiles::Plan::new::<M>(rows, cols);
    for (row, col, at) in entries {
        let place = plan.place::<M>(row, col);
        if M::PER_WORD == 1 {
            words[place] = match values {
                Weight::F32(values) => values[at],
                Weight::BF16(values) => values[at].to_f32(),
            };
            continue;
        }
        let mut rounded = [0.0];
        couple(values.part(at, 1), &mut rounded);
        let (word, shift) = (&mut words[place / 2], 16 * (place % 2));
        let other = word.to_bits() & !(0xffff << shift);
        *word = f32::from_bits(other | (rounded[0].to_bits() & 0xffff) << shift);
    }
}

#[cfg(test)]
mod tests {
    use super::super::run;
    use super::super::tests::on_each_kernel;
    use super::*;
    use crate::testing::{alone, fast, random, random_bf16, values};
    use half::bf16;

    fn bits(values: &[f32]) -> Vec<u32> {
        values.iter().map(|v| v.to_bits()).collect()
    }

    on_each_kernel! { packed_factors_are_the_factors }

    /// Products with a packed factor have the bits of those with the factor itself, also after entries were set.
    fn packed_factors_are_the_factors(kernels: Kernels) {
        for compute in [Compute::F32, Compute::BF16] {
            let packs = match kernels {
                Kernels::Portable => false,
                #[cfg(target_arch = "x86_64")]
                Kernels::Avx512 => compute == Compute::F32,
                #[cfg(target_arch = "x86_64")]
                _ => true,
            };
            let exec = fast().with_compute(compute);
            for (m, inner, cols) in [
                (1, 1, 1),
                (13, 33, 49),
                (20, 641, 100),
                (9, 1537, 95),
                (5, 640, 1700),
                (2, 1536, 1400),
                (17, 3100, 50),
                (16, 48, 700),
            ] {
                let a = values(&random(1, &[m, inner]));
                for half in [false, true] {
                    let w = values(&if half {
                        random_bf16(2, &[cols, inner])
                    } else {
                        random(2, &[cols, inner])
                    });
                    let mut changed = w.clone();
                    for i in (0..w.len()).filter(|i| i % 5 == 1 || i % 7 == 0) {
                        changed[i] = if half { bf16::from_f32(w[i] * 1.7).to_f32() } else { w[i] * 1.7 };
                    }
                    let halves = |w: &[f32]| w.iter().map(|v| bf16::from_f32(*v)).collect::<Vec<bf16>>();
                    let (w16, changed16) = (halves(&w), halves(&changed));
                    let pick = |whole, part| if half { Weight::BF16(part) } else { Weight::F32(whole) };
                    let (before, after) = (pick(&w[..], &w16[..]), pick(&changed[..], &changed16[..]));
                    for turned in [false, true] {
                        let factor = |w| {
                            if turned { Factor::new(w, cols, inner).t() } else { Factor::new(w, inner, cols) }
                        };
                        let Some(mut packed) = Packed::for_kernels(&exec, kernels, factor(before)) else {
                            assert!(!packs, "{kernels:?} takes packed factors in {compute:?}");
                            continue;
                        };
                        let check = |packed: &Packed, w| {
                            for (exec, add) in [(&exec, false), (&alone().with_compute(compute), true)] {
                                let (mut found, mut expected) = (vec![0.5; m * cols], vec![0.5; m * cols]);
                                let a = Mat::new(&a, m, inner);
                                packed.product(exec, a, Out { data: &mut found, row_stride: cols, add });
                                let to = Out { data: &mut expected, row_stride: cols, add };
                                run(Some(exec), compute, kernels, a, factor(w), 1.0, to);
                                assert_eq!(
                                    bits(&found),
                                    bits(&expected),
                                    "{compute:?} {m}x{inner}x{cols} {half}"
                                );
                            }
                        };
                        check(&packed, before);
                        let entries = (0..w.len()).filter(|i| i % 5 == 1 || i % 7 == 0);
                        let place = |i: usize| {
                            if turned { (i % inner, i / inner, i) } else { (i / cols, i % cols, i) }
                        };
                        packed.set(entries.map(place), after);
                        check(&packed, after);
                        assert_eq!(
                            bits(&packed.words),
                            bits(
                                &Packed::for_kernels(&exec, kernels, factor(after)).expect("as before").words
                            )
                        );
                    }
                }
            }
        }
    }
}
