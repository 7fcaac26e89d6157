//! The error of everything that works on tensors: what was wrong, where, and what to do.
//!
//! It knows nothing of script lines; a script layer adds them.

use std::path::Path;

use lota_host::{Fault, FaultKind, Located};

/// The result of every fallible function of this crate and of those above it.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What went wrong. The variants are the kinds a caller may want to tell apart; the text is
/// written for the person who has to mend it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A fault that has nothing to do with tensors: an argument, a file, a limit, a cancellation, a callback.
    #[error(transparent)]
    Host(#[from] lota_host::Error),
    /// Two things that must belong to the same model do not.
    #[error("{0}")]
    Mismatch(String),
    /// A tensor operation failed.
    #[error("{}", describe(.0))]
    Tensor(#[from] candle_core::Error),
}

impl Error {
    /// A [`lota_host::Error::Argument`].
    pub fn argument(text: impl Into<String>) -> Self {
        lota_host::Error::argument(text).into()
    }

    /// A [`lota_host::Error::Format`].
    pub fn format(path: impl AsRef<Path>, what: impl Into<String>) -> Self {
        lota_host::Error::format(path, what).into()
    }

    /// A [`lota_host::Error::Io`].
    pub fn io(path: impl AsRef<Path>, source: std::io::Error) -> Self {
        lota_host::Error::io(path, source).into()
    }

    /// A [`lota_host::Error::Limit`].
    pub fn limit(text: impl Into<String>) -> Self {
        lota_host::Error::limit(text).into()
    }

    /// An [`Error::Mismatch`].
    pub fn mismatch(text: impl Into<String>) -> Self {
        Self::Mismatch(text.into())
    }

    /// Whether the run was cancelled.
    pub fn is_cancelled(&self) -> bool {
        matches!(self, Self::Host(lota_host::Error::Cancelled))
    }
}

impl Located for Error {
    fn shown_in(self, hidden: &Path, place: &Path) -> Self {
        match self {
            Self::Host(error) => error.shown_in(hidden, place).into(),
            other => other,
        }
    }
}

impl Fault for Error {
    fn kind(&self) -> FaultKind {
        match self {
            Self::Host(error) => error.kind(),
            Self::Mismatch(_) | Self::Tensor(_) => FaultKind::Runtime,
        }
    }

    fn into_callback(self) -> Result<Box<dyn std::error::Error + Send + Sync>, Self> {
        match self {
            Self::Host(error) => error.into_callback().map_err(Self::Host),
            other => Err(other),
        }
    }
}

/// The text of a failed tensor operation: without the backtrace of our own functions that candle
/// adds where `RUST_BACKTRACE` is set, and with shapes as scripts write them.
pub fn describe(error: &candle_core::Error) -> String {
    use candle_core::Error as E;
    let shape = |s: &candle_core::Shape| {
        format!("{{{}}}", s.dims().iter().map(ToString::to_string).collect::<Vec<_>>().join(", "))
    };
    match error {
        E::WithBacktrace { inner, .. } => describe(inner),
        E::Context { inner, context } => format!("{context}: {}", describe(inner)),
        E::WithPath { inner, path } => format!("{}: {}", path.display(), describe(inner)),
        E::ShapeMismatchBinaryOp { lhs, rhs, .. } => {
            format!("the shapes {} and {} do not fit together", shape(lhs), shape(rhs))
        }
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use candle_core::{DType, Device, Tensor};

    use super::*;

    #[test]
    fn a_failed_tensor_operation_is_told_in_one_line_with_its_shapes() {
        let zeros = |n: usize| Tensor::zeros(n, DType::F32, &Device::Cpu).expect("a small tensor");
        let error = Error::from((zeros(2) + zeros(3)).expect_err("the shapes differ"));
        assert_eq!(error.to_string(), "the shapes {2} and {3} do not fit together");
        assert_eq!(error.kind(), FaultKind::Runtime);
    }

    #[test]
    fn what_the_host_says_keeps_its_kind_and_its_text() {
        let error = Error::argument("the rate must be positive");
        assert_eq!(
            (error.kind(), error.to_string()),
            (FaultKind::Argument, "the rate must be positive".into())
        );
        assert!(Error::from(lota_host::Error::Cancelled).is_cancelled());
        let own = lota_host::Error::Callback(Box::new(std::io::Error::other("the script's own")));
        assert!(Error::from(own).into_callback().is_ok());
    }
}
