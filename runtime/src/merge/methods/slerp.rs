//! `slerp`: from the base to another model along the arc between them (Shoemake 1985), at the length
//! that this gives.

use crate::Result;
use crate::merge::gram::{Along, combine};
use crate::merge::method::Base;
use crate::merge::settings::{Kind, Scope};
use crate::merge::{Group, Method, Sink, Spec};

/// Vectors nearer to one line than this are interpolated along it.
const STRAIGHT: f64 = 0.9995;
/// Vectors shorter than this have no direction.
const SHORT: f64 = 1e-8;

pub(super) struct Slerp(Spec);

impl Slerp {
    pub(super) fn new() -> Self {
        Self(
            Spec::new("slerp", "From the base to another model along the arc between them.", "Shoemake 1985")
                .param("t", Kind::Number, Scope::Shared, None, "how far: 0 is the base, 1 the other model")
                .base(Base::Required)
                .inputs(2, Some(2)),
        )
    }
}

impl Method for Slerp {
    fn spec(&self) -> &Spec {
        &self.0
    }

    fn merge(&self, group: &Group<'_>, sink: &dyn Sink) -> Result<()> {
        let t = group.params.number("t");
        let base = group.base().unwrap_or(0);
        combine(group, sink, &[base, 1 - base], None, Along::Whole, |gram| {
            let length = |i| if gram.norm(i) > SHORT { gram.norm(i) } else { 1.0 };
            let cos = (gram.get(0, 1) / (length(0) * length(1))).clamp(-1.0, 1.0);
            if cos.abs() > STRAIGHT {
                return Ok(vec![1.0 - t, t]);
            }
            let angle = cos.acos();
            Ok(vec![((1.0 - t) * angle).sin() / angle.sin(), (t * angle).sin() / angle.sin()])
        })
    }
}
