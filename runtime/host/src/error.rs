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
    #[error("{}: {source}{}", path.display(), hint(source))]
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

/// What to do about an error of the system, where that is known.
fn hint(error: &std::io::Error) -> &'static str {
    use std::io::ErrorKind as K;
    match error.kind() {
        K::StorageFull | K::QuotaExceeded => "; free some space, or write to another disk",
        K::ReadOnlyFilesystem => "; write to another folder, or make its file system writable",
        K::PermissionDenied => "; change its permissions, or choose another place",
        K::OutOfMemory => "; free some memory, or raise the limit of this process, and try again",
        K::FileTooLarge => "; this process may not write larger files",
        #[cfg(unix)]
        _ if error.raw_os_error() == Some(rustix::io::Errno::IO.raw_os_error()) => {
            "; the disk does not answer as it should: check it and try again"
        }
        _ => "",
    }
}

/// An error that may name a file of a hidden folder, in which files are made before they are put in their place.
pub trait Located {
    /// The same error, naming the file as it is called in its place.
    fn shown_in(self, hidden: &Path, place: &Path) -> Self;
}

impl Located for Error {
    fn shown_in(mut self, hidden: &Path, place: &Path) -> Self {
        if let Self::Io { path, .. } | Self::Format { path, .. } = &mut self
            && let Ok(inside) = path.strip_prefix(hidden)
        {
            // Joined to nothing, a path would end with a slash.
            *path = if inside.as_os_str().is_empty() { place.to_path_buf() } else { place.join(inside) };
        }
        self
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
    fn a_file_of_a_hidden_folder_is_named_as_in_its_place() {
        let full = |path: &str| Error::io(path, std::io::ErrorKind::StorageFull.into());
        let told = |path: &str| full(path).shown_in(Path::new("a/.hidden"), Path::new("a/b")).to_string();
        assert!(told("a/.hidden/c").starts_with("a/b/c: "));
        assert!(told("a/.hidden").starts_with("a/b: "));
        assert!(told("a/other").starts_with("a/other: "));
        assert!(told("a/b").ends_with("; free some space, or write to another disk"));
    }

    #[test]
    fn an_error_of_a_callback_comes_back_whole_and_no_other_is_one() {
        let own = std::io::Error::other("the script's own");
        let back = Error::Callback(Box::new(own)).into_callback().expect("is a callback's");
        assert!(back.downcast_ref::<std::io::Error>().is_some());
        let other = Error::Cancelled.into_callback().expect_err("is not a callback's");
        assert_eq!(other.kind(), FaultKind::Cancelled);
    }
}
