//! Lists the Lua and Rhai files of `stdlib/`, the scripts of `scripts/` and the files of the built-in model, so that
//! all of them are built into the library.

#![allow(clippy::disallowed_methods, reason = "the project's own files")]

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs, io};

fn main() -> io::Result<()> {
    let root = project().join("stdlib");
    println!("cargo::rerun-if-changed={}", root.display());
    let target = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets it"));
    fs::write(target.join("stdlib.rs"), modules(&root, "lua", ".")?)?;
    fs::write(target.join("stdlib_rhai.rs"), modules(&root, "rhai", "/")?)?;
    fs::write(target.join("scripts.rs"), scripts()?)?;
    fs::write(target.join("builtin.rs"), builtin()?)
}

/// The folder above this crate, which holds `stdlib/`, `scripts/` and `assets/`; from the crate's own folder, where
/// build scripts run.
///
/// Paths stay relative, here and in what is written: a target folder that was copied from another checkout of the
/// project must not build that checkout's files in.
fn project() -> PathBuf {
    PathBuf::from("..")
}

/// `include_str!` or `include_bytes!` of a file, from wherever the crate is when it is compiled.
fn include(with: &str, path: &Path) -> String {
    let path = path.to_str().expect("files of the project have plain names");
    format!("{with}!(concat!(env!(\"CARGO_MANIFEST_DIR\"), {:?}))", format!("/{path}"))
}

/// The modules whose files have this end, their names joined by `separator`.
fn modules(root: &Path, end: &str, separator: &str) -> io::Result<String> {
    let mut files = Vec::new();
    if root.is_dir() {
        collect(root, "lota", end, separator, &mut files)?;
    }
    files.sort();
    let mut out = String::from("&[\n");
    for (module, path) in files {
        println!("cargo::rerun-if-changed={}", path.display());
        writeln!(out, "    ({module:?}, {}),", include("include_str", &path)).expect("writing to a string");
    }
    out.push_str("]\n");
    Ok(out)
}

/// The scripts, without those in folders: what they measure is the program itself, beside other programs.
fn scripts() -> io::Result<String> {
    let root = project().join("scripts");
    println!("cargo::rerun-if-changed={}", root.display());
    let mut paths = Vec::new();
    if root.is_dir() {
        paths = fs::read_dir(&root)?.map(|e| Ok(e?.path())).collect::<io::Result<Vec<_>>>()?;
    }
    paths.retain(|p| p.extension().is_some_and(|e| e == "lua" || e == "rhai"));
    paths.sort();
    let mut out = String::from("&[\n");
    for path in paths {
        println!("cargo::rerun-if-changed={}", path.display());
        let name = path.file_name().and_then(|n| n.to_str()).expect("scripts have plain names");
        writeln!(out, "    ({name:?}, {}),", include("include_str", &path)).expect("writing to a string");
    }
    out.push_str("]\n");
    Ok(out)
}

/// The files of the built-in model. There are none before `scripts/pretrain_tiny.lua` has made it.
fn builtin() -> io::Result<String> {
    let root = project().join("assets/tiny");
    println!("cargo::rerun-if-changed={}", root.display());
    let mut out = String::from("&[\n");
    if root.join("model.safetensors").is_file() {
        let mut paths = fs::read_dir(&root)?.map(|e| Ok(e?.path())).collect::<io::Result<Vec<_>>>()?;
        paths.retain(|p| p.extension().is_some_and(|e| e == "json" || e == "safetensors" || e == "jinja"));
        paths.sort();
        for path in paths {
            println!("cargo::rerun-if-changed={}", path.display());
            let name = path.file_name().and_then(|n| n.to_str()).expect("the model's files have plain names");
            writeln!(out, "    ({name:?}, {} as &[u8]),", include("include_bytes", &path))
                .expect("writing to a string");
        }
    }
    out.push_str("]\n");
    Ok(out)
}

/// `stdlib/adapt/lotto.lua` is `lota.adapt.lotto`, and `stdlib/adapt/init.lua` is `lota.adapt`; in Rhai they
/// are `lota/adapt/lotto` and `lota/adapt`.
fn collect(
    folder: &Path,
    prefix: &str,
    end: &str,
    separator: &str,
    files: &mut Vec<(String, PathBuf)>,
) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let Some(stem) = path.file_stem().and_then(|s| s.to_str()) else { continue };
        if path.is_dir() {
            collect(&path, &format!("{prefix}{separator}{stem}"), end, separator, files)?;
        } else if path.extension().is_some_and(|e| e == end) {
            let module =
                if stem == "init" { prefix.to_string() } else { format!("{prefix}{separator}{stem}") };
            files.push((module, path));
        }
    }
    Ok(())
}
