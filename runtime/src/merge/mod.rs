//! Merging: one model of several, tensor by tensor.
//!
//! A [`Method`] makes one tensor of the same tensor of all inputs. It goes over them in pieces, as
//! often as it must, and never holds one whole; so a merge needs little memory whatever the size of
//! the models. Inputs are [`Input`]s: loaded models, mapped folders, tickets and task vectors over a
//! base, in any mixture. Arithmetic is f32, sums that decide something are f64.
//!
//! The names of methods and parameters, their defaults and their results are mergekit's (0.1.5).
//! Where the two differ on purpose, the file of the method says so. In all of them:
//!
//! - inputs are rounded to `dtype` and results to `out_dtype`, but nothing between is: of bf16 models
//!   mergekit rounds every step to bf16;
//! - where equal magnitudes compete, the first in position wins; mergekit's choice there is that of
//!   an unstable sort;
//! - a tensor that holds infinities or NaN is an error, and so is a result that its type holds only as such;
//!   mergekit spreads them over the result.
//!
//! Nothing here depends on scripts, on YAML, or on what a tensor is used for.

mod chat_template;
mod config;
mod files;
mod finite;
mod float;
mod folder;
mod gram;
mod group;
mod identity;
mod input;
mod kernels;
mod layout;
mod memory;
mod method;
mod methods;
mod nearest;
mod open;
mod overlay;
mod plan;
mod report;
mod run;
mod settings;
mod untied;
mod vocabulary;
mod write;

pub use config::{Body, Config, Reference, Slice, Source, TokenSource, TokenizerConfig, TokenizerSource};
pub use float::Float;
pub use folder::Folder;
pub use group::{Entry, Group, Piece, Sink, Unit};
pub use input::{Held, Info, Input, Reader};
pub use memory::as_model;
pub use method::{Base, Count, Method, Spec};
pub use methods::{method, methods};
pub use open::{Found, open_all};
pub use overlay::Overlay;
pub use plan::{Plan, PlanOptions};
pub use report::{Conflicts, conflicts};
pub use settings::{Kind, Param, Resolved, Scalar, Scope, Settings, resolve};
pub use write::{Existing, FolderOptions, check_replaceable, discard, hidden};
