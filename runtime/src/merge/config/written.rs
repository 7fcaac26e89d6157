//! A configuration as it is written: the keys of each map, as serde reads them. What they mean together is checked by
//! `check.rs`.

use serde::Deserialize;
use serde::de::{Deserializer, Error as _, SeqAccess, Visitor};

use super::reference::Reference;
use super::scalar::Whole;
use super::tokenizer::{TokenizerSource, Written as Tokenizer};
use crate::merge::Settings;

/// The whole.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Document {
    pub(super) name: Option<String>,
    pub(super) merge_method: Option<String>,
    pub(super) base_model: Option<Reference>,
    pub(super) models: Option<Vec<Source>>,
    pub(super) slices: Option<Vec<Slice>>,
    pub(super) modules: Option<std::collections::BTreeMap<String, Module>>,
    pub(super) parameters: Option<Settings>,
    pub(super) dtype: Option<String>,
    pub(super) out_dtype: Option<String>,
    pub(super) tokenizer_source: Option<TokenizerSource>,
    pub(super) tokenizer: Option<Tokenizer>,
    pub(super) chat_template: Option<String>,
}

/// An entry of `modules`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "a map with models or slices")]
pub(super) struct Module {
    pub(super) models: Option<Vec<Source>>,
    pub(super) slices: Option<Vec<Slice>>,
    pub(super) parameters: Option<Settings>,
}

/// An entry of `models`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "a map with model")]
pub(super) struct Source {
    pub(super) model: Reference,
    pub(super) parameters: Option<Settings>,
}

/// An entry of `slices`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "a map with sources")]
pub(super) struct Slice {
    pub(super) sources: Vec<Layers>,
    pub(super) base_model: Option<Reference>,
    pub(super) residual_weight: Option<serde_json::Value>,
    pub(super) parameters: Option<Settings>,
}

/// An entry of the `sources` of a slice.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "a map with model and layer_range")]
pub(super) struct Layers {
    pub(super) model: Reference,
    pub(super) layer_range: Range,
    pub(super) parameters: Option<Settings>,
}

/// `[first, one after the last]`; both may be the same, which is no layer.
#[derive(Clone, Copy)]
pub(super) struct Range {
    pub(super) first: usize,
    pub(super) end: usize,
}

impl<'v> Deserialize<'v> for Range {
    fn deserialize<D: Deserializer<'v>>(from: D) -> Result<Self, D::Error> {
        const FORM: &str = "must be [first, one after the last]";
        struct Ends;
        impl<'v> Visitor<'v> for Ends {
            type Value = Range;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("[first, one after the last]")
            }

            fn visit_seq<A: SeqAccess<'v>>(self, mut items: A) -> Result<Range, A::Error> {
                let mut ends = Vec::new();
                while let Some(Whole(end)) = items.next_element()? {
                    ends.push(end);
                }
                match ends[..] {
                    [first, end] if first <= end => Ok(Range { first, end }),
                    [first, end] => {
                        Err(A::Error::custom(format!("{FORM}, and [{first}, {end}] ends before it begins")))
                    }
                    _ => Err(A::Error::custom(format!("{FORM}, and has {} numbers", ends.len()))),
                }
            }
        }
        from.deserialize_any(Ends)
    }
}
