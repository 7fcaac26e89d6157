//! The JSON files that lie beside a model's weights.

use std::path::Path;

use serde_json::{Map, Value};

use crate::host::read_if_there;
use crate::{Error, Result};

/// A file's bytes as a JSON object; an error names `path`.
pub(super) fn object(path: &Path, bytes: &[u8]) -> Result<Map<String, Value>> {
    match serde_json::from_slice(bytes) {
        Ok(Value::Object(map)) => Ok(map),
        Ok(_) => Err(Error::format(path, "not a JSON object")),
        Err(e) => Err(Error::format(path, format!("not JSON: {e}"))),
    }
}

/// The JSON object of a file, empty if there is no such file.
pub(super) fn object_if_there(path: &Path) -> Result<Map<String, Value>> {
    read_if_there(path)?.map_or_else(|| Ok(Map::new()), |bytes| object(path, &bytes))
}
