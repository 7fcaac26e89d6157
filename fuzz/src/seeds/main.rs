//! Writes the small whole files that the corpus began with, and the words of the registry for scripts. Files that are there
//! are left as they are.

mod data;
mod models;
mod scripts;
mod sealed;
mod texts;

use std::path::{Path, PathBuf};

/// A file of the corpus: the target, its name, its bytes.
type Seed = (&'static str, String, Vec<u8>);

/// The root of the workspace.
fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// A file of the workspace.
fn fixture(path: &str) -> Vec<u8> {
    std::fs::read(root().join(path)).unwrap_or_else(|e| panic!("{path}: {e}"))
}

/// The bytes of a file that `write` writes.
fn written(write: impl FnOnce(&Path)) -> Vec<u8> {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("seed");
    write(&path);
    std::fs::read(&path).expect("was written")
}

fn main() {
    let all = [models::seeds(), sealed::seeds(), data::seeds(), texts::seeds(), scripts::seeds()];
    let mut new = 0;
    for (target, name, bytes) in all.into_iter().flatten() {
        let folder = root().join("fuzz/corpus").join(target);
        std::fs::create_dir_all(&folder).expect("makes a folder");
        let path = folder.join(name);
        if !path.exists() {
            std::fs::write(path, bytes).expect("writes");
            new += 1;
        }
    }
    for (name, words) in scripts::dictionaries() {
        std::fs::write(root().join("fuzz/dict").join(name), words).expect("writes");
    }
    println!("{new} new files in fuzz/corpus");
}
