//! Scores as keys that grow with preference, and where to cut them.

use super::bits::Domain;
use crate::Error;
use crate::host::Host;
use crate::vectors::Source;

/// The scores of a group, as keys that grow with preference.
pub struct Keys<'a> {
    /// Where scores come from.
    pub source: &'a dyn Source,
    /// Which entries may be chosen.
    pub domain: Domain<'a>,
    /// Whether large magnitudes are preferred, or small ones.
    pub largest: bool,
    /// The switch that stops work.
    pub host: &'a Host,
}

impl Keys<'_> {
    /// What is XORed into a magnitude to make small ones come first.
    pub fn flip(&self) -> u32 {
        if self.largest { 0 } else { 0x7fff_ffff }
    }
}

/// Where to cut: entries with a key above `key` are in, and `ties` of those with just this key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cut {
    /// The key at the cut.
    pub key: u32,
    /// How many candidates with this key are in, those that come first.
    pub ties: u64,
}

/// The magnitude of a score as an integer of the same order.
#[inline(always)]
pub fn magnitude(score: f32) -> u32 {
    score.to_bits() & 0x7fff_ffff
}

/// Whether any score is not a number: their magnitudes lie above that of infinity.
pub fn any_nan(scores: &[f32]) -> bool {
    scores.iter().fold(0, |max, &s| max.max(magnitude(s))) > f32::INFINITY.to_bits()
}

/// The error for a score that is not a number.
pub fn nan_error(name: &str) -> Error {
    Error::argument(format!("the scores of parameter {name} hold a value that is not a number (NaN)"))
}
