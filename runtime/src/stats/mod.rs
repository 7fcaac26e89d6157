//! Statistics of what flows through the linear layers of a model, gathered batch by batch in one forward pass over the data:
//! norms, magnitudes and Gram matrices, a file for each. Nothing of `[tokens, features]` is kept beyond the batch in work.

mod collect;
mod columns;
mod file;
mod gather;
mod gram;
mod held;
mod kind;
mod magnitude;
mod norm;

pub use collect::{Each, Wanted, collect};
pub use held::{About, Stats};
pub use kind::Kind;
