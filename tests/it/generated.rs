//! What is written from the registry and kept in the repository: `docs/reference`, `docs/editors` and the examples in Rhai
//! that the library holds.
//!
//! `LOTA_UPDATE=1 cargo test --workspace --test it generated` writes them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use lota::api::{Primitive, Registry, reference, standard, types, types_rhai};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The file of the examples in Rhai.
const EXAMPLES: &str = "bindings/src/writers/examples.json";

/// The example of a primitive in Rhai, translated now.
fn translated(registry: &Registry, p: &Primitive) -> Option<String> {
    match lota_translate::example(registry, p) {
        Ok(example) => Some(example),
        Err(why) => panic!("the example of {} is in Lua alone: {why}; give it an .example_rhai", p.name()),
    }
}

/// Every generated file, by its path.
fn written() -> BTreeMap<PathBuf, String> {
    let registry = standard();
    let example = |p: &Primitive| translated(&registry, p);
    let pages =
        reference::pages(&registry, &example).expect("every record has its example in both languages");
    let mut files: BTreeMap<PathBuf, String> =
        pages.into_iter().map(|(name, text)| (Path::new("docs/reference").join(name), text)).collect();
    let json = reference::json(&registry, &example).expect("the same");
    files.insert("docs/reference/lota.json".into(), format!("{json:#}\n"));
    files.insert("docs/editors/lota.lua".into(), types::luals(&registry));
    files.insert("docs/editors/lota.d.rhai".into(), types_rhai::definitions(&registry));
    let examples: BTreeMap<&str, String> =
        registry.iter().map(|p| (p.name(), translated(&registry, p).unwrap_or_default())).collect();
    let examples = serde_json::to_string_pretty(&examples).expect("texts");
    files.insert(EXAMPLES.into(), examples + "\n");
    files
}

fn kept() -> Vec<PathBuf> {
    let mut names = Vec::new();
    for folder in ["docs/reference", "docs/editors"] {
        let Ok(entries) = std::fs::read_dir(root().join(folder)) else { continue };
        names.extend(entries.flatten().map(|e| Path::new(folder).join(e.file_name())));
    }
    names
}

#[test]
fn generated_files_are_those_of_the_registry() {
    let files = written();
    let update = std::env::var_os("LOTA_UPDATE").is_some();
    for (name, text) in &files {
        let path = root().join(name);
        if update {
            std::fs::create_dir_all(path.parent().expect("it is in a folder")).expect("makes the folder");
            std::fs::write(&path, text).expect("writes");
        }
        let kept = std::fs::read_to_string(&path).unwrap_or_default();
        let differs = text.lines().zip(kept.lines().chain(std::iter::repeat(""))).find(|(a, b)| a != b);
        assert!(
            kept == *text,
            "{} is not what the registry says (first difference: {differs:?}); write it anew: \
             LOTA_UPDATE=1 cargo test --workspace --test it generated",
            name.display()
        );
    }
    for name in kept() {
        if update && !files.contains_key(&name) {
            std::fs::remove_file(root().join(&name)).expect("removes");
        }
        assert!(files.contains_key(&name), "{} belongs to nothing any more", name.display());
    }
}

/// A page names every primitive of its area, and every primitive is on a page.
#[test]
fn every_primitive_is_on_a_page_with_an_example_of_each_language() {
    let pages = reference::pages(&standard(), &lota::api::examples::rhai)
        .expect("every record has its example in both languages");
    let all: String = pages.into_iter().map(|(_, text)| text).collect();
    for p in standard().iter() {
        let headed = format!("\n## {}\n\n{}\n", p.short_name(), p.doc());
        assert!(all.contains(&headed), "{} is on no page", p.name());
    }
    for (module, source) in lota::stdlib::MODULES.lua {
        assert!(
            all.contains(source.lines().next().unwrap_or_default().trim_start_matches(['-', ' '])),
            "{module} is on no page"
        );
    }
}
