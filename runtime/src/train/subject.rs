//! The model that is trained.

use crate::model::{Decoder, Model, Params};
use crate::ops::Exec;
use crate::{Error, Result};

/// The model a step works on. Its parameters are changed in place: every clone of `params` sees it.
#[derive(Clone, Copy)]
pub struct Subject<'a> {
    /// How operations are carried out.
    pub exec: &'a Exec,
    /// The decoder.
    pub decoder: &'a Decoder,
    /// Its parameters.
    pub params: &'a Params,
}

impl<'a> From<&'a Model> for Subject<'a> {
    fn from(model: &'a Model) -> Self {
        Self { exec: &model.exec, decoder: &model.decoder, params: &model.params }
    }
}

/// An error unless the sum of squares of a gradient is a number.
pub(super) fn finite(subject: Subject<'_>, param: usize, squares: f64, state: &str) -> Result<f64> {
    if squares.is_finite() {
        return Ok(squares);
    }
    Err(Error::argument(format!(
        "the gradient of {} is not finite; {state} (lower the learning rate, clip the gradients, or look for a \
         division by zero in the loss)",
        subject.params.universe().spec(param).name
    )))
}
