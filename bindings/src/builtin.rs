//! The model that is built into the library: the files of `assets/tiny`, as `scripts/pretrain_tiny.lua`
//! writes them.

use lota_runtime::host::Host;
use lota_runtime::model::{LoadOptions, Model, load_embedded};
use lota_script::{Error, Result};

/// The names and bytes of its files; empty where the library was built before the model was made.
static FILES: &[(&str, &[u8])] = include!(concat!(env!("OUT_DIR"), "/builtin.rs"));

/// Loads it, by the same code as any other model.
pub fn load_model(options: &LoadOptions, host: &Host) -> Result<Model> {
    if FILES.is_empty() {
        return Err(Error::runtime(
            "this lota was built without a built-in model: run scripts/pretrain_tiny.lua, which writes it to \
             assets/tiny, and build again",
        ));
    }
    Ok(load_embedded(FILES, "builtin", options, host)?)
}
