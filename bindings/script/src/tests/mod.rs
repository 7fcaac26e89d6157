//! Both frontends over a small library of their own.

mod both;
mod library;
#[cfg(feature = "lua")]
mod lua;
#[cfg(feature = "lua")]
mod patterns;
#[cfg(feature = "rhai")]
mod rhai;

pub(crate) use library::{registry, surroundings};
