//! Numbers and truth values of a configuration, with messages of their own.

use serde::Deserialize;
use serde::de::{Deserializer, Unexpected, Visitor};

use crate::merge::settings::truth;

/// A whole number, 0 or more.
pub(super) struct Whole(pub(super) usize);

/// A whole number above 0.
pub(super) struct AboveZero(pub(super) usize);

/// A truth value, as `true` or as one of the words that YAML 1.1 has for it.
pub(super) struct Flag(pub(super) bool);

impl<'v> Deserialize<'v> for Whole {
    fn deserialize<D: Deserializer<'v>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(Number { least: 0 }).map(Self)
    }
}

impl<'v> Deserialize<'v> for AboveZero {
    fn deserialize<D: Deserializer<'v>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(Number { least: 1 }).map(Self)
    }
}

/// Reads a whole number that is `least` or more.
struct Number {
    least: usize,
}

impl Visitor<'_> for Number {
    type Value = usize;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(if self.least == 0 { "a whole number" } else { "a whole number above 0" })
    }

    fn visit_u64<E: serde::de::Error>(self, n: u64) -> Result<usize, E> {
        let fits = usize::try_from(n).ok().filter(|n| *n >= self.least);
        fits.ok_or_else(|| E::invalid_value(Unexpected::Unsigned(n), &self))
    }
}

impl<'v> Deserialize<'v> for Flag {
    fn deserialize<D: Deserializer<'v>>(from: D) -> Result<Self, D::Error> {
        struct Truth;
        impl Visitor<'_> for Truth {
            type Value = Flag;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("true or false")
            }

            fn visit_bool<E>(self, b: bool) -> Result<Flag, E> {
                Ok(Flag(b))
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Flag, E> {
                truth(text).map(Flag).ok_or_else(|| E::invalid_value(Unexpected::Str(text), &self))
            }
        }
        from.deserialize_any(Truth)
    }
}
