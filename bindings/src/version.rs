//! The version of this crate.

/// The version, as `lota --version` prints it.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");
