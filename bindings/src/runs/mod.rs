//! Run folders: where one run of a script keeps its config, metrics and files.

mod folder;
mod metrics;
mod table;

pub use folder::{RunFolder, same};
pub use table::markdown_table;
