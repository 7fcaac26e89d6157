//! Where a ticket came from, as a text in the metadata of a file that has no place for it.

use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::Meta;
use crate::{Error, Result};

/// The key of the text; other programs pass over it.
pub(super) const KEY: &str = "lota";

#[derive(Serialize, Deserialize)]
struct About {
    base: String,
    method: String,
    settings: Map<String, Value>,
    seed: Option<u64>,
    data: Option<String>,
    made_by: String,
}

/// The text.
pub(super) fn text(meta: &Meta) -> Result<String> {
    let Meta { base, method, settings, seed, data, lota } = meta.clone();
    serde_json::to_string(&About { base, method, settings, seed, data, made_by: lota })
        .map_err(|e| Error::argument(format!("the settings of the ticket cannot be written: {e}")))
}

/// What a text says.
pub(super) fn read(path: &Path, text: &str) -> Result<Meta> {
    let about: About = serde_json::from_str(text)
        .map_err(|e| Error::format(path, format!("is damaged: its metadata under {KEY:?}: {e}")))?;
    let About { base, method, settings, seed, data, made_by } = about;
    Ok(Meta { base, method, settings, seed, data, lota: made_by })
}
