//! Runs every Lua file beside this one as a test, and every file under `examples/lua` too.
//!
//! A file passes when it ends without an error. Each gets an engine of its own and the option
//! `--tmp` with an empty folder.

use std::path::{Path, PathBuf};

use libtest_mimic::{Arguments, Failed, Trial};
use lota::api::Files;
use lota::{Engine, Language};

fn main() {
    let arguments = Arguments::from_args();
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut trials = Vec::new();
    for folder in ["tests/scripts", "examples/lua"] {
        for path in lua_files(&root.join(folder)) {
            let name = format!("{folder}/{}", path.file_name().unwrap_or_default().to_string_lossy());
            trials.push(Trial::test(name, move || run(&path)));
        }
    }
    libtest_mimic::run(&arguments, trials).exit()
}

fn lua_files(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let mut files: Vec<PathBuf> = entries
        .filter_map(|entry| entry.ok().map(|e| e.path()))
        .filter(|path| path.extension().is_some_and(|e| e == "lua"))
        .collect();
    files.sort();
    files
}

fn run(path: &Path) -> Result<(), Failed> {
    let folder = tempfile::tempdir()?;
    let engine = Engine::builder(Language::Lua)
        .files(Files::everything())
        .open(true)
        .threads(1)
        .reference(std::env::var_os("LOTA_TEST_REFERENCE").is_some())
        .script(path.display().to_string(), ["--tmp".into(), folder.path().display().to_string()])
        .build()
        .map_err(|e| e.to_string())?;
    engine.run_file(path).map_err(|e| format!("{e}\n{}", e.traceback().unwrap_or_default()))?;
    Ok(())
}
