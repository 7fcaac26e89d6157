//! The one error type of the runtime: what was wrong, where, and what to do.
//!
//! It knows nothing of script lines; the bindings add them.

use std::path::{Path, PathBuf};

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
    /// A file is missing a part, is damaged, or is of a kind or version this crate does not read.
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
    /// Two things that must belong to the same model do not.
    #[error("{0}")]
    Mismatch(String),
    /// A limit that was set on this run was reached.
    #[error("{0}")]
    Limit(String),
    /// The run was cancelled.
    #[error("cancelled")]
    Cancelled,
    /// A tensor operation failed.
    #[error("{0}")]
    Tensor(#[from] candle_core::Error),
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

    /// An [`Error::Mismatch`].
    pub fn mismatch(text: impl Into<String>) -> Self {
        Self::Mismatch(text.into())
    }
}
