//! How a ticket is written: the form of its positions and of its values.

use super::codec::{Codec, ValueType};
use crate::model::Params;
use crate::ops::Exec;

/// How a ticket is written.
#[derive(Clone, Copy, Default)]
pub struct Form<'a> {
    /// How positions are.
    pub codec: Codec,
    /// How values are.
    pub values: ValueType,
    /// For int8 and ternary: write the differences of the values from those of this model, which must
    /// be the ticket's base, rather than the values. What is lost is then a part of the change, not
    /// of the weights; but reading the file takes the base.
    pub base: Option<(&'a Exec, &'a Params)>,
}

impl From<ValueType> for Form<'_> {
    fn from(values: ValueType) -> Self {
        Self { values, ..Self::default() }
    }
}
