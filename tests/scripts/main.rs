//! Runs every Lua file of this folder, the example of every primitive, every attack on the sandbox and every mistake
//! whose message is kept, as a test of its own.
//!
//! `cargo test --test scripts NAME` runs those whose name contains NAME.

mod misuse;
mod sandbox;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use libtest_mimic::{Arguments, Failed, Trial};
use lota::api::Files;
use lota::{Engine, Language};

fn main() {
    let arguments = Arguments::from_args();
    let mut trials = Vec::new();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scripts");
    let mut files = Vec::new();
    collect(&folder, &mut files);
    files.sort();
    for path in files {
        let name = path.strip_prefix(&folder).unwrap_or(&path).with_extension("");
        trials.push(Trial::test(format!("script {}", name.display()), move || run_file(&path)));
    }
    for primitive in lota::api::standard().iter() {
        let name = primitive.name().to_string();
        let example = primitive.example_source().to_string();
        trials.push(Trial::test(format!("example {name}"), move || run_example(&name, &example)));
    }
    trials.extend(sandbox::trials());
    trials.extend(misuse::trials());
    libtest_mimic::run(&arguments, trials).exit();
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        let path = entry.path();
        // `modules` holds what the specs require, not specs.
        if path.is_dir() && path.file_name().is_some_and(|n| n != "modules") {
            collect(&path, files);
        } else if path.extension().is_some_and(|e| e == "lua") {
            files.push(path);
        }
    }
}

fn run_file(path: &Path) -> Result<(), Failed> {
    run(|engine| engine.run_file(path).map(drop))
}

fn run_example(name: &str, example: &str) -> Result<(), Failed> {
    if example.is_empty() {
        return Err(format!("{name} has no example").into());
    }
    let source = format!("local lota = require 'lota'\n{example}");
    // Examples write into a folder of their own.
    let folder = tempfile::tempdir().map_err(|e| e.to_string())?;
    let files = Files::roots([folder.path().to_path_buf()]);
    let engine = builder().files(files).build().map_err(|e| e.to_string())?;
    engine
        .run(&source, name)
        .map(drop)
        .map_err(|e| format!("{e}\n{}", e.traceback().unwrap_or_default()).into())
}

fn builder() -> lota::Builder {
    let reference = std::env::var_os("LOTA_TEST_REFERENCE").is_some();
    Engine::builder(Language::Lua).reference(reference)
}

fn run(work: impl FnOnce(&Engine) -> lota::Result<()>) -> Result<(), Failed> {
    let printed = Arc::new(Mutex::new(String::new()));
    let sink = printed.clone();
    let engine = builder()
        .files(Files::everything())
        .open(true)
        .output(move |text| {
            if let Ok(mut printed) = sink.lock() {
                printed.push_str(text);
            }
        })
        .build()
        .map_err(|e| e.to_string())?;
    work(&engine).map_err(|e| {
        let printed = printed.lock().map(|p| p.clone()).unwrap_or_default();
        format!("{e}\n{}\nprinted:\n{printed}", e.traceback().unwrap_or_default()).into()
    })
}
