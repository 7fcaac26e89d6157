//! The targets: what is fed with bytes, by what they are.

pub mod data;
pub mod files;
pub mod models;
pub mod scripts;
pub mod sealed;
pub mod texts;

/// The bytes before the first zero and those after it: two files in one, of which the first is text.
fn halves(bytes: &[u8]) -> (&[u8], &[u8]) {
    match bytes.iter().position(|&byte| byte == 0) {
        Some(at) => (&bytes[..at], &bytes[at + 1..]),
        None => (bytes, &[]),
    }
}

/// The bits of numbers, so that what is not a number compares as well.
fn bits(numbers: &[f32]) -> Vec<u32> {
    numbers.iter().map(|x| x.to_bits()).collect()
}
