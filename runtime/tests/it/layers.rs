//! The modules of the crate depend on each other one way: no circle of them is left.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// Every source file below `folder` that is not a test.
fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).expect("lists") {
        let path = entry.expect("is there").path();
        let name = path.file_name().expect("has a name").to_string_lossy().into_owned();
        if path.is_dir() && name != "tests" {
            sources(&path, found);
        } else if name.ends_with(".rs") && name != "tests.rs" {
            found.push(path);
        }
    }
}

/// What a file says outside comments and tests.
fn code(path: &Path) -> String {
    let text = std::fs::read_to_string(path).expect("reads");
    let text = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
    text.lines().map(|line| line.split("//").next().unwrap_or_default()).collect::<Vec<_>>().join("\n")
}

/// The names that follow `crate::`, the first of each path; of a group in braces each.
fn used(code: &str) -> BTreeSet<String> {
    let word =
        |text: &str| text.split(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap_or("").to_string();
    let mut names = BTreeSet::new();
    for rest in code.split("crate::").skip(1) {
        let Some(group) = rest.strip_prefix('{') else {
            names.insert(word(rest));
            continue;
        };
        let (mut depth, mut start) = (1, 0);
        for (i, c) in group.char_indices() {
            depth = match c {
                '{' => depth + 1,
                '}' => depth - 1,
                _ => depth,
            };
            if depth == 0 || c == ',' && depth == 1 {
                names.insert(word(group[start..i].trim()));
                start = i + 1;
            }
            if depth == 0 {
                break;
            }
        }
    }
    names
}

/// For each module of the crate, the others that it uses.
fn graph() -> BTreeMap<String, BTreeSet<String>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    sources(&root, &mut files);
    let module = |path: &Path| {
        let within = path.strip_prefix(&root).expect("lies below");
        let first = within.components().next().expect("has a first part").as_os_str().to_string_lossy();
        first.trim_end_matches(".rs").to_string()
    };
    let modules: BTreeSet<String> = files.iter().map(|path| module(path)).collect();
    let mut graph: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for path in &files {
        let own = module(path);
        let others = used(&code(path)).into_iter().filter(|name| *name != own && modules.contains(name));
        graph.entry(own.clone()).or_default().extend(others);
    }
    graph
}

/// Modules that use each other in a circle, if any do.
fn circle(graph: &BTreeMap<String, BTreeSet<String>>) -> Option<Vec<String>> {
    fn walk(graph: &BTreeMap<String, BTreeSet<String>>, path: &mut Vec<String>) -> bool {
        let last = path.last().expect("begins somewhere").clone();
        for next in graph.get(&last).into_iter().flatten() {
            if *next == path[0] {
                return true;
            }
            if !path.contains(next) {
                path.push(next.clone());
                if walk(graph, path) {
                    return true;
                }
                path.pop();
            }
        }
        false
    }
    graph.keys().find_map(|start| {
        let mut path = vec![start.clone()];
        walk(graph, &mut path).then_some(path)
    })
}

#[test]
fn modules_use_each_other_one_way() {
    let graph = graph();
    assert!(graph["ticket"].contains("mask") && graph["mask"].contains("model"), "uses are found: {graph:?}");
    assert_eq!(circle(&graph), None, "these use each other in a circle");
}

#[test]
fn a_circle_would_be_seen() {
    let uses = used("use crate::{Error, b::{x, y}, c};\nfn f() { crate::d::g(crate::e::H) }");
    assert_eq!(uses.iter().map(String::as_str).collect::<Vec<_>>(), ["Error", "b", "c", "d", "e"]);
    let edge = |from: &str, to: &[&str]| (from.to_string(), to.iter().map(ToString::to_string).collect());
    let graph =
        BTreeMap::from([edge("a", &["b", "d"]), edge("b", &["c"]), edge("c", &["a"]), edge("d", &[])]);
    assert_eq!(circle(&graph), Some(vec!["a".to_string(), "b".to_string(), "c".to_string()]));
}
