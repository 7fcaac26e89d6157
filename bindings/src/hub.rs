//! Where models of the Hugging Face hub are kept, by the variables its other tools read.

use std::env;
use std::path::PathBuf;

use lota_runtime::model::HubOptions;

/// The options that the environment asks for: `HF_HUB_CACHE` or `HF_HOME` (else
/// `~/.cache/huggingface`), `HF_ENDPOINT`, `HF_TOKEN` (else the file `token` in `HF_HOME`) and
/// `HF_HUB_OFFLINE`.
pub fn hub_from_environment() -> HubOptions {
    let text = |name: &str| env::var(name).ok().filter(|value| !value.is_empty());
    let home = text("HF_HOME").map(PathBuf::from).or_else(|| {
        let cache = text("XDG_CACHE_HOME").map(PathBuf::from);
        let cache = cache.or_else(|| env::home_dir().map(|home| home.join(".cache")));
        cache.map(|cache| cache.join("huggingface"))
    });
    #[expect(clippy::disallowed_methods, reason = "the environment names this file, not a script")]
    let token = text("HF_TOKEN").or_else(|| {
        let saved = std::fs::read_to_string(home.as_ref()?.join("token")).ok()?;
        Some(saved.trim().to_string()).filter(|token| !token.is_empty())
    });
    HubOptions {
        cache_dir: text("HF_HUB_CACHE").map(PathBuf::from).or_else(|| home.map(|home| home.join("hub"))),
        endpoint: text("HF_ENDPOINT"),
        token,
        revision: None,
        offline: text("HF_HUB_OFFLINE").is_some_and(|value| !matches!(value.as_str(), "0" | "false" | "no")),
    }
}
