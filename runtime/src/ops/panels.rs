//! A weight as f32, a block of rows at a time: as it is, or converted from bf16 into a scratch buffer.

use half::bf16;
use rayon::prelude::*;

use super::Exec;
use super::simd::multiversion;
use super::slice::Weight;

/// Values of a weight that are converted at a time.
const BLOCK: usize = 1 << 20;

/// Calls `work(first_row, rows, values)` for blocks of rows of a weight with `cols` columns: one block if it is
/// f32, so that the product sees it whole.
pub(crate) fn for_each(exec: &Exec, w: Weight<'_>, cols: usize, mut work: impl FnMut(usize, usize, &[f32])) {
    match w {
        Weight::F32(w) => work(0, w.len() / cols.max(1), w),
        Weight::BF16(w) => {
            let rows = (BLOCK / cols.max(1)).max(1);
            let mut scratch = vec![0.0; (rows * cols).min(w.len())];
            for (i, block) in w.chunks((rows * cols).max(1)).enumerate() {
                let scratch = &mut scratch[..block.len()];
                widen_parallel(exec, block, scratch);
                work(i * rows, block.len() / cols, scratch);
            }
        }
    }
}

fn widen_parallel(exec: &Exec, from: &[bf16], to: &mut [f32]) {
    const PIECE: usize = 1 << 16;
    exec.run(|| {
        let pieces = from.par_chunks(PIECE).zip(to.par_chunks_mut(PIECE));
        pieces.for_each(|(from, to)| widen(from, to));
    });
}

multiversion! {
    /// bf16 to f32.
    pub(crate) fn widen<I>(from: &[bf16], to: &mut [f32]) {
        for (to, from) in to.iter_mut().zip(from) {
            *to = f32::from_bits(u32::from(from.to_bits()) << 16);
        }
    }
}
