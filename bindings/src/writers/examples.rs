//! The examples of primitives in Rhai.
//!
//! A record has its example in Lua. `tests/translate` translates it while lota is developed, and the translations are kept
//! beside this file: `LOTA_UPDATE=1 cargo test --workspace --test it generated` writes them.

use std::collections::BTreeMap;

use lota_script::Primitive;

static TRANSLATED: &str = include_str!("examples.json");

/// The example of a primitive in Rhai: its own, or the translation that is kept.
pub fn rhai(primitive: &Primitive) -> Option<String> {
    if let Some(own) = primitive.own_rhai_example() {
        return Some(own.to_string());
    }
    // What is in the program was tested to be JSON.
    let mut kept: BTreeMap<String, String> = serde_json::from_str(TRANSLATED).ok()?;
    kept.remove(primitive.name())
}
