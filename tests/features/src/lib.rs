//! Nothing but dependencies. Cargo builds a dependency anew when other features are asked of it, and what a build of one
//! crate asks differs from what the whole workspace asks. Selected beside that crate, this one makes them the same:
//!
//! ```text
//! cargo clippy -p lota -p lota-features --no-default-features --features lota/lua --lib
//! ```
