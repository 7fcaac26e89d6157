//! The order of the names of a map that somebody wrote, which Rhai's maps, sorted as they are, forget.
//!
//! A value of Rhai carries a number beside it (its tag) wherever it goes. The number says which row of names it was read with.
//! A script can set the tag of its own values: then names that fit no row are in the order of the alphabet.

use std::collections::HashMap;
use std::sync::Arc;

use rhai::{Dynamic, ImmutableString};

use crate::{Map, Value};

/// The first of these tags, far from those that a script would set.
const FIRST: i32 = 0x4C6F_0000;

/// The rows of names that maps were read with. What it takes counts as the script's.
#[derive(Default)]
pub(crate) struct Orders {
    rows: Vec<Arc<[ImmutableString]>>,
    known: HashMap<Arc<[ImmutableString]>, i32>,
}

impl Orders {
    /// The tag of a map with these names; `None` when there are more kinds of maps than tags.
    pub fn tag(&mut self, map: &Map) -> Option<i32> {
        let names: Arc<[ImmutableString]> = map.iter().map(|(name, _)| name.into()).collect();
        if let Some(tag) = self.known.get(&names) {
            return Some(*tag);
        }
        let tag = i32::try_from(self.rows.len()).ok()?.checked_add(FIRST)?;
        self.rows.push(names.clone());
        self.known.insert(names, tag);
        Some(tag)
    }

    /// The names that a value was read with, if it is a map that was read.
    pub fn names(&self, value: &Dynamic) -> Option<Arc<[ImmutableString]>> {
        let at = usize::try_from(value.tag().checked_sub(FIRST)?).ok()?;
        self.rows.get(at).cloned()
    }
}

/// A map with its entries in the order of `names`, and after them those with other names.
pub(super) fn sort(entries: Vec<(String, Value)>, names: &[ImmutableString]) -> Map {
    let places: HashMap<&str, usize> =
        names.iter().enumerate().map(|(place, name)| (name.as_str(), place)).collect();
    let mut entries = entries;
    // Rhai gives them in the order of the alphabet, in which the others stay.
    entries.sort_by_key(|(name, _)| places.get(name.as_str()).copied().unwrap_or(usize::MAX));
    entries.into_iter().collect::<Map>().written()
}
