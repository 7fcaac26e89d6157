//! Lists the Lua files of `stdlib/` and the files of the built-in model, so that all of them are built
//! into the library.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs, io};

fn main() -> io::Result<()> {
    let root = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").expect("cargo sets it")).join("stdlib");
    println!("cargo::rerun-if-changed={}", root.display());
    let mut files = Vec::new();
    if root.is_dir() {
        collect(&root, "lota", &mut files)?;
    }
    files.sort();
    let mut out = String::from("&[\n");
    for (module, path) in files {
        println!("cargo::rerun-if-changed={}", path.display());
        writeln!(out, "    ({module:?}, include_str!({path:?})),").expect("writing to a string");
    }
    out.push_str("]\n");
    let target = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets it"));
    fs::write(target.join("stdlib.rs"), out)?;
    fs::write(target.join("builtin.rs"), builtin()?)
}

/// The files of the built-in model. There are none before `scripts/pretrain_tiny.lua` has made it.
fn builtin() -> io::Result<String> {
    let root = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").expect("cargo sets it")).join("assets/tiny");
    println!("cargo::rerun-if-changed={}", root.display());
    let mut out = String::from("&[\n");
    if root.join("model.safetensors").is_file() {
        let mut paths = fs::read_dir(&root)?.map(|e| Ok(e?.path())).collect::<io::Result<Vec<_>>>()?;
        paths.retain(|p| p.extension().is_some_and(|e| e == "json" || e == "safetensors" || e == "jinja"));
        paths.sort();
        for path in paths {
            println!("cargo::rerun-if-changed={}", path.display());
            let name = path.file_name().and_then(|n| n.to_str()).expect("the model's files have plain names");
            writeln!(out, "    ({name:?}, include_bytes!({path:?}) as &[u8]),").expect("writing to a string");
        }
    }
    out.push_str("]\n");
    Ok(out)
}

/// `stdlib/adapt/lotto.lua` is `lota.adapt.lotto`, and `stdlib/adapt/init.lua` is `lota.adapt`.
fn collect(folder: &Path, prefix: &str, files: &mut Vec<(String, PathBuf)>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let Some(stem) = path.file_stem().and_then(|s| s.to_str()) else { continue };
        if path.is_dir() {
            collect(&path, &format!("{prefix}.{stem}"), files)?;
        } else if path.extension().is_some_and(|e| e == "lua") {
            let module = if stem == "init" { prefix.to_string() } else { format!("{prefix}.{stem}") };
            files.push((module, path));
        }
    }
    Ok(())
}
