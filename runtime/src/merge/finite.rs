//! What a merge makes is finite in the type it is written in, or is an error that names the tensor.

use std::sync::OnceLock;

use super::kernels::all_finite;
use super::{Float, Group, Sink};
use crate::{Error, Result};

/// A sink that takes only what its type can hold.
pub(super) struct Finite<'s> {
    inner: Box<dyn Sink + 's>,
    /// The tensor's name, for messages.
    name: &'s str,
    out: Float,
    /// A value that is not finite, and its place.
    found: OnceLock<(usize, f32)>,
}

impl<'s> Finite<'s> {
    /// In front of the sink of a tensor that is written as `out`.
    pub(super) fn new(inner: Box<dyn Sink + 's>, name: &'s str, out: Float) -> Self {
        Self { inner, name, out, found: OnceLock::new() }
    }

    /// How writing a tensor ended: where it was given what is not finite, an error that says whether an input held that or
    /// the method made it of finite numbers.
    pub(super) fn outcome(&self, made: Result<()>, group: &Group<'_>, method: &str) -> Result<()> {
        let Some(&(at, value)) = self.found.get() else { return made };
        group.check_finite()?;
        Err(Error::mismatch(format!(
            "tensor {}: {method} makes {value} at entry {at} of inputs that are finite: its weights or other parameters are \
             too large",
            self.name
        )))
    }
}

impl Sink for Finite<'_> {
    fn write(&self, start: usize, values: &[f32]) -> Result<()> {
        if !all_finite(values) {
            let at = values.iter().position(|v| !v.is_finite()).unwrap_or(0);
            self.found.get_or_init(|| (start + at, values[at]));
            return Err(Error::mismatch(format!("tensor {} is not finite", self.name)));
        }
        if let Some(value) = self.out.overflow(values) {
            return Err(self.out.too_large(value, self.name, "out_dtype"));
        }
        self.inner.write(start, values)
    }
}
