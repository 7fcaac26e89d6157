//! Comparing many scores with a few bounds at once: the pass over the scores that selection is
//! made of, at the speed of reading them.

use crate::ops::simd::multiversion;

/// Scores in one word of the result.
pub const WORD: usize = 64;

/// The bit pattern of a magnitude: everything but the sign.
const MAGNITUDE: u32 = 0x7fff_ffff;

multiversion! {
    /// For each 64 scores a word for each bound, whose bit `i` says whether the key of score `i`
    /// (its magnitude's bits, XORed with `flip`) is greater than the bound. `bounds` must rise,
    /// and there must be a word for every score. Returns the greatest magnitude's bits, which
    /// lie above those of infinity if any score is not a number.
    pub fn compare<I, const N: usize>(
        scores: &[f32], flip: u32, bounds: &[i32; N], above: &mut [[u64; N]],
    ) -> u32 {
        debug_assert_eq!(above.len(), scores.len().div_ceil(WORD));
        debug_assert!(bounds.is_sorted());
        let mut most = 0;
        let (blocks, rest) = scores.as_chunks::<WORD>();
        for (block, above) in blocks.iter().zip(above.iter_mut()) {
            *above = word(block, flip, bounds, &mut most);
        }
        if let (Some(above), false) = (above.get_mut(blocks.len()), rest.is_empty()) {
            let mut block = [0.0; WORD];
            block[..rest.len()].copy_from_slice(rest);
            let words = word(&block, flip, bounds, &mut most);
            for (above, word) in above.iter_mut().zip(words) {
                *above = word & ((1 << rest.len()) - 1);
            }
        }
        most as u32
    }
}

/// The words of one block. Most blocks have nothing above the lowest bound, which costs one
/// comparison with their greatest key.
///
/// Loops rather than iterator chains, and one thing in each: so each becomes a few vector
/// instructions, and no closure is left that is compiled without them.
#[inline(always)]
fn word<const N: usize>(block: &[f32; WORD], flip: u32, bounds: &[i32; N], most: &mut i32) -> [u64; N] {
    let mut keys = [0i32; WORD];
    for (key, score) in keys.iter_mut().zip(block) {
        *key = (score.to_bits() & MAGNITUDE) as i32;
    }
    let mut greatest = 0;
    for key in &keys {
        greatest = greatest.max(*key);
    }
    *most = (*most).max(greatest);
    let mut top = 0;
    for key in &mut keys {
        *key ^= flip as i32;
        top = top.max(*key);
    }
    let mut words = [0; N];
    if top > bounds[0] {
        for (word, bound) in words.iter_mut().zip(bounds) {
            let mut flags = [0u8; WORD];
            for (flag, key) in flags.iter_mut().zip(&keys) {
                *flag = u8::from(*key > *bound);
            }
            *word = pack(&flags);
        }
    }
    words
}

/// The bits of 64 bytes that are 0 or 1.
#[inline(always)]
fn pack(flags: &[u8; WORD]) -> u64 {
    // Multiplying moves byte i to bit 56 + i; no two terms of the product meet.
    const GATHER: u64 = 0x0102_0408_1020_4080;
    let mut bits = 0;
    for (i, eight) in flags.as_chunks::<8>().0.iter().enumerate() {
        bits |= (u64::from_le_bytes(*eight).wrapping_mul(GATHER) >> 56) << (8 * i);
    }
    bits
}
