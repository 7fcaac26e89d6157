//! `tests/features` names every dependency of the workspace, or a build of one crate builds them anew.

use std::collections::BTreeSet;
use std::path::Path;

/// The names before ` = ` or `.workspace` in the sections of a manifest whose headings end with `heading`.
fn names(manifest: &str, heading: &str) -> BTreeSet<String> {
    let mut inside = false;
    let mut found = BTreeSet::new();
    for line in manifest.lines() {
        if let Some(section) = line.strip_prefix('[') {
            inside = section.trim_end_matches(']').ends_with(heading);
        } else if inside && line.starts_with(|c: char| c.is_ascii_lowercase()) {
            let end = line.find([' ', '.']).expect("a dependency is given as `name = …` or `name.workspace`");
            found.insert(line[..end].to_string());
        }
    }
    found
}

#[test]
fn a_build_of_one_crate_can_ask_for_the_features_of_all() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let read = |path: &str| std::fs::read_to_string(root.join(path)).expect("reads");
    let workspace = names(&read("Cargo.toml"), "workspace.dependencies");
    let outside: BTreeSet<String> =
        workspace.into_iter().filter(|name| *name != "lota" && !name.starts_with("lota-")).collect();
    assert!(outside.contains("candle-core"), "{outside:?}");
    assert_eq!(names(&read("tests/features/Cargo.toml"), "dependencies"), outside);
}
