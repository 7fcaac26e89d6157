//! stub
use crate::api::Registry;
pub(super) fn register(_: &mut Registry) {}
