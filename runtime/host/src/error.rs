//! The errors of everything below tensors: files, arguments, limits, cancellation.

use std::path::{Path, PathBuf};

use crate::{Fault, FaultKind};

/// The result of every fallible function of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What went wrong. The variants are the kinds a caller may want to tell apart; the text is
/// written for the person who has to mend it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// An argument is out of range, of the wrong shape, or contradicts another.
    #[error("{0}")]
    Argument(String),
    /// A file is missing a part, is damaged, or is of a kind or version that is not read.
    #[error("{}: {what}", path.display())]
    Format {
        /// The file.
        path: PathBuf,
        /// What is wrong with it and what to do.
        what: String,
    },
    /// The operating system refused.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// The cause.
        source: std::io::Error,
    },
    /// A limit that was set on this run was reached.
    #[error("{0}")]
    Limit(String),
    /// Something was asked for that was not granted.
    #[error("{0}")]
    Denied(String),
    /// The run was cancelled.
    #[error("cancelled")]
    Cancelled,
    /// A callback of the embedding host or script failed. The source is kept whole, so that a
    /// script error raised inside a callback comes back out as itself.
    #[error("{0}")]
    Callback(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl Error {
    /// An [`Error::Argument`].
    pub fn argument(text: impl Into<String>) -> Self {
        Self::Argument(text.into())
    }

    /// An [`Error::Format`].
    pub fn format(path: impl AsRef<Path>, what: impl Into<String>) -> Self {
        Self::Format { path: path.as_ref().to_path_buf(), what: what.into() }
    }

    /// An [`Error::Io`].
    pub fn io(path: impl AsRef<Path>, source: std::io::Error) -> Self {
        Self::Io { path: path.as_ref().to_path_buf(), source }
    }

    /// An [`Error::Limit`].
    pub fn limit(text: impl Into<String>) -> Self {
        Self::Limit(text.into())
    }
}

impl Fault for Error {
    fn kind(&self) -> FaultKind {
        match self {
            Self::Argument(_) => FaultKind::Argument,
            Self::Limit(_) => FaultKind::Limit,
            Self::Denied(_) => FaultKind::Denied,
            Self::Cancelled => FaultKind::Cancelled,
            Self::Format { .. } | Self::Io { .. } | Self::Callback(_) => FaultKind::Runtime,
        }
    }

    fn into_callback(self) -> Result<Box<dyn std::error::Error + Send + Sync>, Self> {
        match self {
            Self::Callback(error) => Ok(error),
            other => Err(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_of_a_callback_comes_back_whole_and_no_other_is_one() {
        let own = std::io::Error::other("the script's own");
        let back = Error::Callback(Box::new(own)).into_callback().expect("is a callback's");
        assert!(back.downcast_ref::<std::io::Error>().is_some());
        let other = Error::Cancelled.into_callback().expect_err("is not a callback's");
        assert_eq!(other.kind(), FaultKind::Cancelled);
    }
}
