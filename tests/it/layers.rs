//! In every crate, modules use each other one way, and so do the files of each module: no circle is left.

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
    let text = text.split("\nmod tests {").next().unwrap_or_default();
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

/// Folders whose files are one to this test. A frontend turns values into those of its language and back: values hold
/// functions and objects, calls of these carry values, and errors carry both.
const WHOLE: [(&str, &str); 2] = [("lota-script", "lua"), ("lota-script", "rhai")];

/// The source files of one crate and what they use of each other.
struct Crate {
    name: &'static str,
    /// For each file, the other files that it uses. A module and the files below it are one: they share what is theirs.
    files: Graph,
    /// What files use that stands in `lib.rs` itself, which uses them.
    of_root: BTreeSet<String>,
}

impl Crate {
    fn read(name: &'static str, folder: &str) -> Self {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(folder).join("src");
        let mut paths = Vec::new();
        sources(&root, &mut paths);
        let module = |path: &Path| -> Module {
            let within = path.strip_prefix(&root).expect("lies below").with_extension("");
            let parts = within.components().map(|part| part.as_os_str().to_string_lossy().into_owned());
            let parts: Module = parts.filter(|part| part != "mod" && part != "lib").collect();
            if WHOLE.contains(&(name, parts.first().map_or("", String::as_str))) {
                parts[..1].to_vec()
            } else {
                parts
            }
        };
        let known: BTreeSet<Module> = paths.iter().map(|path| module(path)).collect();
        let lib = code(&root.join("lib.rs"));
        let names = renamed(&lib);
        let (mut files, mut of_root) = (Graph::new(), BTreeSet::new());
        // A program's `main.rs` uses the library and nothing uses it.
        for path in paths.iter().filter(|path| !path.ends_with("main.rs")) {
            let own = module(path);
            let code = code(path);
            let mut others = BTreeSet::new();
            for used in used(&code, &own) {
                // What `lib.rs` only passes on is where it comes from.
                let used = names.get(&used[0]).cloned().unwrap_or(used);
                match (1..=used.len()).rev().map(|n| used[..n].to_vec()).find(|m| known.contains(m)) {
                    Some(file) if !own.starts_with(&file) && !file.starts_with(&own) => {
                        others.insert(file);
                    }
                    Some(_) => {}
                    None if own.is_empty() || !defines(&lib, &used[0]) => {}
                    None => {
                        of_root.insert(format!("{} in {}", used[0], own.join("/")));
                    }
                }
            }
            files.entry(own).or_default().extend(others);
        }
        Self { name, files, of_root }
    }

    /// The graph of what stands in the folder of one module: of its files and of folders as wholes.
    fn within(&self, folder: &[String]) -> Graph {
        let depth = folder.len() + 1;
        let inside = |m: &Module| m.len() >= depth && m.starts_with(folder);
        let mut graph = Graph::new();
        for (from, to) in self.files.iter().filter(|(from, _)| inside(from)) {
            let others = to.iter().filter(|to| inside(to)).map(|to| to[..depth].to_vec());
            let others = others.filter(|other| other[..] != from[..depth]);
            graph.entry(from[..depth].to_vec()).or_default().extend(others);
        }
        graph
    }
}

/// What `lib.rs` passes on from its modules: the name outside and the path inside.
fn renamed(lib: &str) -> BTreeMap<String, Module> {
    let mut found = Vec::new();
    for rest in lib.split("use ").skip(1) {
        paths(rest.trim_start_matches("self::").trim_start_matches("crate::"), &[], &mut found);
    }
    found.into_iter().filter_map(|path| Some((path.last()?.clone(), path))).collect()
}

/// Whether the code defines a function, type, trait, constant or macro of this name.
fn defines(code: &str, name: &str) -> bool {
    ["fn", "struct", "enum", "trait", "type", "const", "static", "macro_rules!"].iter().any(|kind| {
        code.match_indices(&format!("{kind} {name}"))
            .any(|(i, found)| !code[i + found.len()..].starts_with(|c: char| c.is_alphanumeric() || c == '_'))
    })
}

/// Every crate of the engine and of the program.
fn crates() -> Vec<Crate> {
    let folders = [
        ("lota-host", "runtime/host"),
        ("lota-runtime", "runtime"),
        ("lota-script", "bindings/script"),
        ("lota", "bindings"),
        ("lota-cli", "bindings/cli"),
        ("lota-capi", "bindings/capi"),
    ];
    folders.map(|(name, folder)| Crate::read(name, folder)).into()
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
fn modules_and_files_use_each_other_one_way() {
    let crates = crates();
    let mut wrong = Vec::new();
    for c in &crates {
        let folders: BTreeSet<&[String]> =
            c.files.keys().flat_map(|m| (0..m.len()).map(|n| &m[..n])).collect();
        let graphs = folders.into_iter().map(|folder| c.within(folder)).chain([c.files.clone()]);
        let circles: BTreeSet<_> = graphs.filter_map(|graph| circle(&graph)).collect();
        wrong.extend(circles.iter().map(|circle| format!("{}: {}", c.name, circle.join(" -> "))));
        wrong.extend(c.of_root.iter().map(|used| format!("{}: lib.rs defines {used}", c.name)));
    }
    assert!(wrong.is_empty(), "these use each other in a circle:\n{}", wrong.join("\n"));

    // The files were found and read: these are known to use each other.
    let uses = |name: &str, from: &str, to: &str| {
        crates.iter().any(|c| c.name == name && c.files[&path(from)].contains(&path(to)))
    };
    assert!(
        uses("lota-runtime", "mask/select", "mask/keys")
            && uses("lota-runtime", "ticket/file", "ticket/layout")
    );
    assert!(uses("lota-script", "registry", "primitive"));
    assert!(uses("lota", "primitives/train/loss", "primitives/data"));
    assert!(uses("lota-cli", "lora", "model"));
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

#[test]
fn what_a_root_passes_on_is_told_from_what_it_defines() {
    let lib = "mod a; pub use a::{B, c::D}; pub(crate) use self::e::f; fn usage() {} struct Common { x: u8 }";
    let names = renamed(lib);
    assert_eq!([&names["B"], &names["D"], &names["f"]], [&path("a/B"), &path("a/c/D"), &path("e/f")]);
    assert!(defines(lib, "usage") && defines(lib, "Common"));
    assert!(!defines(lib, "use") && !defines(lib, "Com") && !defines(lib, "D"));
}
