//! Charts as SVG text, written by hand: line charts and heat maps; and charts in characters for a
//! terminal.
//!
//! The same input gives the same bytes on every machine, so a chart can be compared and kept in a
//! repository. Colours stay apart with any common colour blindness, and never carry meaning
//! alone: lines have names in a legend, and dashes; cells have their value, in a tooltip at least.

mod colour;
mod heatmap;
mod lines;
mod svg;
pub mod text;
mod ticks;

pub use heatmap::HeatMap;
pub use lines::{LineChart, Series};

/// The largest number that a chart has a place for: the distance of two larger ones may be no number any more. On a
/// logarithmic axis the least is one through it.
pub const LARGEST: f64 = 1e300;
