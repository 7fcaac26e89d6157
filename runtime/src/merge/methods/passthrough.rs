//! `passthrough`: one model as it is, or scaled: for stacking layers of several models.

use crate::Result;
use crate::merge::group::Unit;
use crate::merge::settings::{Kind, Scalar, Scope};
use crate::merge::{Group, Method, Sink, Spec, kernels};

pub(super) struct Passthrough(Spec);

impl Passthrough {
    pub(super) fn new() -> Self {
        Self(
            Spec::new("passthrough", "One model as it is, for stacking layers.", "mergekit")
                .param("scale", Kind::OptionalNumber, Scope::Input, Some(Scalar::Nothing), "multiply by this")
                .inputs(1, Some(1))
                .any_values(),
        )
    }
}

impl Method for Passthrough {
    fn spec(&self) -> &Spec {
        &self.0
    }

    fn merge(&self, group: &Group<'_>, sink: &dyn Sink) -> Result<()> {
        let Some(scale) = group.params.maybe(0, "scale") else { return group.copy(sink, 0) };
        group.write(sink, Unit::Entries, &[0], |_, values, out| {
            out.copy_from_slice(values[0]);
            kernels::scale(out, scale as f32);
            Ok(())
        })
    }
}
