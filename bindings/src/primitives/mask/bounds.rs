//! The options `within` and `avoid`, which all constructors of masks take.

use lota_runtime::mask::{self, Mask};
use lota_runtime::vectors::Values;
use lota_script::{Args, Primitive, Result};

use crate::primitives::shared::ScriptMask;

/// The options of a selection that has a budget.
pub(super) fn bounded(record: Primitive) -> Primitive {
    record.opt("within", "Mask", (), "only entries of this mask may be taken, and a density is of them").opt(
        "avoid",
        "Mask",
        (),
        "entries of this mask may not be taken; a density still counts them",
    )
}

/// The options of a mask that needs no budget: what lies outside of its bounds is left out.
pub(super) fn clipped(record: Primitive) -> Primitive {
    record.opt("within", "Mask", (), "only entries of this mask are taken").opt(
        "avoid",
        "Mask",
        (),
        "entries of this mask are not taken",
    )
}

/// What the options of [`bounded`] and [`clipped`] hold.
pub(super) struct Bounds {
    within: Option<ScriptMask>,
    avoid: Option<ScriptMask>,
}

impl Bounds {
    pub(super) fn of(args: &mut Args) -> Result<Self> {
        Ok(Self { within: args.opt("within")?, avoid: args.opt("avoid")? })
    }

    /// The bounds of a choice among the entries that have a number: values over a mask are chosen from that mask.
    pub(super) fn of_values(args: &mut Args, values: &Values) -> Result<Self> {
        let mut bounds = Self::of(args)?;
        if !values.is_dense() {
            let entries = bounds.clip_within(values.entries())?;
            bounds.within = Some(ScriptMask::new(entries));
        }
        Ok(bounds)
    }

    fn clip_within(&self, mask: Mask) -> Result<Mask> {
        Ok(mask::bounded(mask, self.within(), None)?)
    }

    pub(super) fn within(&self) -> Option<&Mask> {
        self.within.as_deref()
    }

    pub(super) fn avoid(&self) -> Option<&Mask> {
        self.avoid.as_deref()
    }

    /// Whether an entry of a parameter lies within.
    pub(super) fn reaches(&self, param: usize) -> bool {
        self.within().is_none_or(|within| within.sets().get(param).is_none_or(|set| !set.is_empty()))
    }

    /// The part of a mask that lies within the bounds.
    pub(super) fn clip(&self, mask: Mask) -> Result<Mask> {
        Ok(mask::bounded(mask, self.within(), self.avoid())?)
    }
}
