//! Files of tensors as `torch.save` writes them. Nothing in them is run: their pickle is read as data, and what no file of
//! tensors needs is refused.

mod container;
mod pickle;
mod tensor;

pub(crate) use container::{Container, Records, begins_as_zip, open_zip};
pub(crate) use pickle::Value;
pub(crate) use tensor::{Described, next};
