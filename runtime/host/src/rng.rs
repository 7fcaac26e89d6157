//! Seeded randomness that is passed in. ChaCha8, so that a seed means the same numbers on every
//! machine, device and thread count; its place in the stream can be saved and restored.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng as _, SeedableRng};

/// A seeded generator.
#[derive(Clone, Debug)]
pub struct Rng {
    seed: u64,
    inner: ChaCha8Rng,
}

impl Rng {
    /// The generator of a seed.
    pub fn new(seed: u64) -> Self {
        Self { seed, inner: ChaCha8Rng::seed_from_u64(seed) }
    }

    /// An independent generator for a named purpose, so that adding a consumer of randomness does
    /// not shift the numbers another one sees.
    pub fn fork(&self, purpose: &str) -> Self {
        let hash =
            blake3::hash(format!("{}\0{}\0{purpose}", self.seed, self.inner.get_word_pos()).as_bytes());
        let bytes = hash.as_bytes();
        Self::new(u64::from_le_bytes([
            bytes[0], bytes[1], bytes[2], bytes[3], bytes[4], bytes[5], bytes[6], bytes[7],
        ]))
    }

    /// The seed and the place in the stream, to be given to [`Rng::restore`].
    pub fn state(&self) -> (u64, u128) {
        (self.seed, self.inner.get_word_pos())
    }

    /// The generator that was saved with [`Rng::state`].
    pub fn restore((seed, position): (u64, u128)) -> Self {
        let mut rng = Self::new(seed);
        rng.inner.set_word_pos(position);
        rng
    }

    /// 32 uniform bits.
    pub fn next_u32(&mut self) -> u32 {
        self.inner.next_u32()
    }

    /// 64 uniform bits.
    pub fn next_u64(&mut self) -> u64 {
        self.inner.next_u64()
    }

    /// Uniform in `[0, 1)`, with 53 bits.
    pub fn uniform(&mut self) -> f64 {
        (self.next_u64() >> 11) as f64 * (1.0 / (1u64 << 53) as f64)
    }

    /// Uniform in `0..n`, without bias (Lemire's method). `n` must not be 0.
    pub fn below(&mut self, n: u64) -> u64 {
        assert!(n > 0, "below(0) has no value to return");
        let mut product = u128::from(self.next_u64()) * u128::from(n);
        let threshold = n.wrapping_neg() % n;
        while (product as u64) < threshold {
            product = u128::from(self.next_u64()) * u128::from(n);
        }
        (product >> 64) as u64
    }

    /// Standard normal (Box-Muller; one value a call, so the stream position says everything).
    pub fn normal(&mut self) -> f64 {
        let u = 1.0 - self.uniform();
        let v = self.uniform();
        (-2.0 * u.ln()).sqrt() * (2.0 * std::f64::consts::PI * v).cos()
    }

    /// Shuffles in place (Fisher-Yates).
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for i in (1..items.len()).rev() {
            items.swap(i, self.below(i as u64 + 1) as usize);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_restored_generator_goes_on_where_the_saved_one_stood() {
        let mut a = Rng::new(7);
        for _ in 0..13 {
            a.normal();
            a.next_u32();
        }
        let mut b = Rng::restore(a.state());
        assert_eq!(
            (0..9).map(|_| a.next_u64()).collect::<Vec<_>>(),
            (0..9).map(|_| b.next_u64()).collect::<Vec<_>>()
        );
    }

    #[test]
    fn forks_differ_by_purpose_and_do_not_advance_their_parent() {
        let a = Rng::new(7);
        assert_ne!(a.fork("data").next_u64(), a.fork("mask").next_u64());
        assert_eq!(a.fork("data").next_u64(), a.fork("data").next_u64());
    }
}
