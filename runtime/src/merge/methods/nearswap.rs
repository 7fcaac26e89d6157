//! `nearswap`: entries of the base that lie within `t` of the other model's become the other's, and
//! the rest move by `t`.

use crate::Result;
use crate::merge::group::Unit;
use crate::merge::method::Base;
use crate::merge::settings::{ANY, Kind, Scope};
use crate::merge::{Group, Method, Sink, Spec};

pub(super) struct NearSwap(Spec);

impl NearSwap {
    pub(super) fn new() -> Self {
        Self(
            Spec::new(
                "nearswap",
                "The base, with near entries swapped for the other model's.",
                "QuartetAnemoi-70B",
            )
            .param("t", Kind::Number, Scope::Shared, None, "how near, in the unit of the weights")
            .between(0.0, ANY.1)
            .base(Base::Required)
            .inputs(2, Some(2)),
        )
    }
}

impl Method for NearSwap {
    fn spec(&self) -> &Spec {
        &self.0
    }

    fn merge(&self, group: &Group<'_>, sink: &dyn Sink) -> Result<()> {
        let t = group.params.number("t") as f32;
        let base = group.base().unwrap_or(0);
        group.write(sink, Unit::Entries, &[base, 1 - base], |_, values, out| {
            for ((out, a), b) in out.iter_mut().zip(values[0]).zip(values[1]) {
                let share = (t / (a - b).abs().max(1e-6)).clamp(0.0, 1.0);
                *out = share * b + (1.0 - share) * a;
            }
            Ok(())
        })
    }
}
