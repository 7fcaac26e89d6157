//! The modules of the crate depend on each other one way, and so do the files of each module: no circle is left.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// The path of a module below the root of the crate: `["mask", "select"]`.
type Module = Vec<String>;
type Graph = BTreeMap<Module, BTreeSet<Module>>;

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

/// What a file says outside comments and tests, without white space.
fn code(path: &Path) -> String {
    let text = std::fs::read_to_string(path).expect("reads");
    let text = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
    let lines = text.lines().map(|line| line.split("//").next().unwrap_or_default());
    lines.collect::<String>().split_whitespace().collect::<Vec<_>>().join(" ").replace(":: ", "::")
}

fn word(text: &str) -> String {
    text.trim().split(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap_or("").to_string()
}

/// The paths at the beginning of `text`, of a group in braces each: `a::{b::c, d}` is `a::b::c` and `a::d`.
fn paths(text: &str, before: &[String], found: &mut Vec<Module>) {
    let Some(group) = text.strip_prefix('{') else {
        let name = word(text);
        let path = [before, std::slice::from_ref(&name)].concat();
        match text.get(name.len()..).and_then(|rest| rest.strip_prefix("::")) {
            Some(rest) if !name.is_empty() => paths(rest, &path, found),
            _ => found.push(path),
        }
        return;
    };
    let (mut depth, mut start) = (1, 0);
    for (i, c) in group.char_indices() {
        depth = match c {
            '{' => depth + 1,
            '}' => depth - 1,
            _ => depth,
        };
        if depth == 0 || c == ',' && depth == 1 {
            paths(group[start..i].trim(), before, found);
            start = i + 1;
        }
        if depth == 0 {
            break;
        }
    }
}

/// All paths that begin with `crate::` or `super::` in the code of `module`, from the root of the crate.
fn used(code: &str, module: &[String]) -> Vec<Module> {
    let mut found = Vec::new();
    for rest in code.split("crate::").skip(1) {
        paths(rest, &[], &mut found);
    }
    for (i, _) in code.match_indices("super::") {
        // Of several, each but the first is counted by the first.
        if code[..i].ends_with("super::") {
            continue;
        }
        let (mut rest, mut up) = (&code[i..], module);
        while let Some(behind) = rest.strip_prefix("super::") {
            (rest, up) = (behind, &up[..up.len().saturating_sub(1)]);
        }
        paths(rest, up, &mut found);
    }
    found
}

/// For each file, the other files that it uses. A module and the files below it are one: they share what is theirs.
fn files() -> Graph {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut paths = Vec::new();
    sources(&root, &mut paths);
    let module = |path: &Path| -> Module {
        let within = path.strip_prefix(&root).expect("lies below").with_extension("");
        let parts = within.components().map(|part| part.as_os_str().to_string_lossy().into_owned());
        parts.filter(|part| part != "mod" && part != "lib").collect()
    };
    let known: BTreeSet<Module> = paths.iter().map(|path| module(path)).collect();
    let mut graph = Graph::new();
    for path in &paths {
        let own = module(path);
        let file =
            |used: Module| (1..=used.len()).rev().map(|n| used[..n].to_vec()).find(|m| known.contains(m));
        let others = used(&code(path), &own).into_iter().filter_map(file);
        let others = others.filter(|other| !own.starts_with(other) && !other.starts_with(&own)).collect();
        graph.insert(own, others);
    }
    graph
}

/// The graph of the modules at the root of the crate.
fn modules(files: &Graph) -> Graph {
    let mut graph = Graph::new();
    for (from, to) in files.iter().filter(|(from, _)| !from.is_empty()) {
        let others = to.iter().map(|other| other[..1].to_vec()).filter(|other| other[..] != from[..1]);
        graph.entry(from[..1].to_vec()).or_default().extend(others);
    }
    graph
}

/// A circle, if there is one.
fn circle(graph: &Graph) -> Option<Vec<String>> {
    fn walk<'g>(
        graph: &'g Graph,
        at: &'g Module,
        path: &mut Vec<&'g Module>,
        done: &mut BTreeSet<&'g Module>,
    ) -> Option<Vec<String>> {
        if let Some(start) = path.iter().position(|m| *m == at) {
            return Some(path[start..].iter().map(|m| m.join("/")).collect());
        }
        if !done.insert(at) {
            return None;
        }
        path.push(at);
        let found = graph.get(at).into_iter().flatten().find_map(|next| walk(graph, next, path, done));
        path.pop();
        found
    }
    let mut done = BTreeSet::new();
    graph.keys().find_map(|start| walk(graph, start, &mut Vec::new(), &mut done))
}

fn path(text: &str) -> Module {
    text.split('/').map(str::to_string).collect()
}

#[test]
fn modules_use_each_other_one_way() {
    let graph = modules(&files());
    let uses = |from: &str, to: &str| graph[&path(from)].contains(&path(to));
    assert!(uses("ticket", "mask") && uses("mask", "vectors") && uses("vectors", "model"), "{graph:?}");
    assert_eq!(circle(&graph), None, "these use each other in a circle");
}

#[test]
fn files_use_each_other_one_way() {
    let graph = files();
    let uses = |from: &str, to: &str| graph[&path(from)].contains(&path(to));
    assert!(uses("mask/select", "mask/keys") && uses("ticket/file", "ticket/layout"), "{graph:?}");
    assert_eq!(circle(&graph), None, "these use each other in a circle");
}

#[test]
fn a_circle_would_be_seen() {
    let code = "use crate::{Error, b::{x, y}, c}; use super::super::e; fn f() { crate::d::g(super::h::I) }";
    let mut uses: Vec<String> = used(code, &path("m/n/o")).iter().map(|m| m.join("/")).collect();
    uses.sort();
    assert_eq!(uses, ["Error", "b/x", "b/y", "c", "d/g", "m/e", "m/n/h/I"]);
    let edge = |from: &str, to: &[&str]| (path(from), to.iter().map(|to| path(to)).collect());
    let mut graph =
        Graph::from([edge("a", &["b", "d"]), edge("b", &["c"]), edge("c", &["d"]), edge("d", &[])]);
    assert_eq!(circle(&graph), None);
    graph.extend([edge("d", &["b"])]);
    assert_eq!(circle(&graph), Some(["b", "c", "d"].map(str::to_string).to_vec()));
}
