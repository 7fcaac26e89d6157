//! Runs every Lua and Rhai file of this folder (those of `twins/` by pairs, whose results must be equal), the example of every
//! primitive in both languages and every mistake whose message is kept, as a test of its own. Each Lua file has a twin in Rhai, or
//! says in its first line why not: `-- no twin: REASON`.
//!
//! `cargo test --test scripts NAME` runs those whose name contains NAME.

#![allow(clippy::disallowed_methods, reason = "a test looks at files itself")]

mod misuse;

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use candle_core::{Device, Tensor};
use libtest_mimic::{Arguments, Failed, Trial};
use lota::api::{Files, Value};
use lota::{Engine, Language};

#[global_allocator]
static ALLOCATOR: lota::Counting = lota::Counting::system();

fn main() {
    let mut arguments = Arguments::from_args();
    // Many of them wait for the disk: what a run logs is there when it says so.
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    arguments.test_threads.get_or_insert(3 * cores);
    let mut trials = Vec::new();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/scripts");
    let mut files = Vec::new();
    collect(&folder, &mut files);
    files.sort();
    for path in files {
        let name = path.strip_prefix(&folder).unwrap_or(&path).with_extension("").display().to_string();
        if path.parent().is_some_and(|folder| folder.ends_with("twins")) {
            if Language::of(&path) == Language::Lua {
                trials.push(Trial::test(format!("same {name}"), move || same(&path)));
            }
        } else if Language::of(&path) == Language::Lua {
            let lua = path.clone();
            trials.push(Trial::test(format!("twin {name}"), move || twin(&lua)));
            trials.push(Trial::test(format!("script {name}"), move || run_file(&path).map(drop)));
        } else {
            trials.push(Trial::test(format!("rhai {name}"), move || run_file(&path).map(drop)));
        }
    }
    for primitive in lota::api::standard().iter() {
        let name = primitive.name().to_string();
        let example = primitive.example_source().to_string();
        trials.push(Trial::test(format!("example {name}"), move || {
            run_example(Language::Lua, &name, &format!("local lota = require 'lota'\n{example}"))
        }));
        let name = primitive.name().to_string();
        trials.push(Trial::test(format!("rhai example {name}"), move || {
            let registry = lota::api::standard();
            let primitive = registry.get(&name).ok_or("it is registered no longer")?;
            let example = lota_translate::example(&registry, primitive)?;
            run_example(Language::Rhai, &name, &example)
                .map_err(|e| format!("{}\n{example}", e.message().unwrap_or_default()).into())
        }));
    }
    trials.push(Trial::test("an example of comments alone is none", || {
        let nothing =
            does_something(Language::Lua, "local lota = require 'lota'\n-- lota.data.padded('x')\n")
                || does_something(Language::Rhai, "// lota::data::padded(\"x\")\n");
        if nothing { Err("it counts as an example".into()) } else { Ok(()) }
    }));
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
        } else if path.extension().is_some_and(|e| e == "lua" || e == "rhai") {
            files.push(path);
        }
    }
}

/// A spec of Lua has a twin of Rhai beside it, or the reason why not; not both.
fn twin(lua: &Path) -> Result<(), Failed> {
    let source = std::fs::read_to_string(lua).map_err(|e| e.to_string())?;
    let first = source.lines().next().unwrap_or_default();
    let reason = first.strip_prefix("-- no twin: ").filter(|reason| !reason.trim().is_empty());
    match (lua.with_extension("rhai").exists(), reason) {
        (true, None) | (false, Some(_)) => Ok(()),
        (false, None) => Err("it has no twin in Rhai, and no first line `-- no twin: REASON`".into()),
        (true, Some(_)) => Err("it has a twin in Rhai, and a line that says it has none".into()),
    }
}

/// A file of Lua and its twin of Rhai return the same text. JSON writes every digit that tells a number from its
/// neighbours, so equal text is equal bits.
fn same(lua: &Path) -> Result<(), Failed> {
    let texts = [lua.to_path_buf(), lua.with_extension("rhai")].map(|path| match run_file(&path) {
        Ok(Value::Str(text)) if text.len() > 100 => Ok(text),
        Ok(other) => Err(Failed::from(format!("{} returned {other:?}", path.display()))),
        Err(e) => Err(e),
    });
    let [lua, rhai] = texts;
    let (lua, rhai) = (lua?, rhai?);
    let at = lua.bytes().zip(rhai.bytes()).take_while(|(a, b)| a == b).count();
    if lua == rhai {
        return Ok(());
    }
    let around = |text: &str| {
        String::from_utf8_lossy(&text.as_bytes()[at.saturating_sub(200)..text.len().min(at + 200)])
            .into_owned()
    };
    Err(format!("Lua gave …{}…\nRhai gave …{}…", around(&lua), around(&rhai)).into())
}

fn run_file(path: &Path) -> Result<Value, Failed> {
    let language = Language::of(path);
    let scratch = tempfile::tempdir().map_err(|e| e.to_string())?;
    // The files of Rhai's specs; Lua's have `os.tmpname`.
    let args = match language {
        Language::Rhai => vec!["--scratch".to_string(), scratch.path().display().to_string()],
        _ => Vec::new(),
    };
    run(builder(language).script(path.display().to_string(), args), |engine| engine.run_file(path))
}

fn run_example(language: Language, name: &str, source: &str) -> Result<(), Failed> {
    if !does_something(language, source) {
        return Err(format!("{name} has no example: nothing in it can fail\n{source}").into());
    }
    // Examples write into a folder of their own, and find in it the files that no example can make.
    let folder = tempfile::tempdir().map_err(|e| e.to_string())?;
    samples(folder.path())?;
    let files = Files::roots([folder.path().to_path_buf()]);
    let engine = builder(language).files(files).build().map_err(|e| e.to_string())?;
    engine
        .run(source, name)
        .map(drop)
        .map_err(|e| format!("{e}\n{}", e.traceback().unwrap_or_default()).into())
}

/// Whether an example has a statement besides the `require` of Lua: comments cannot fail.
fn does_something(language: Language, source: &str) -> bool {
    let comment = if language == Language::Rhai { "//" } else { "--" };
    source.lines().map(str::trim).any(|line| {
        !line.is_empty() && !line.starts_with(comment) && !line.starts_with("local lota = require")
    })
}

/// A mask as the published code saves it, and batches as other trainers save them.
fn samples(folder: &Path) -> Result<(), Failed> {
    let published = Path::new(env!("CARGO_MANIFEST_DIR")).join("../runtime/tests/fixtures/published/mask.pt");
    std::fs::copy(published, folder.join("0.9_mask.pt"))?;
    let batches = [
        ("input_ids", [[[1_i64, 2, 3], [4, 5, 0]]]),
        ("labels", [[[-100, 2, 3], [-100, 5, -100]]]),
        ("attention_mask", [[[1, 1, 1], [1, 1, 0]]]),
    ];
    let tensors = batches.map(|(name, values)| Ok((name, Tensor::new(&values, &Device::Cpu)?)));
    let tensors = tensors.into_iter().collect::<candle_core::Result<HashMap<_, _>>>()?;
    Ok(candle_core::safetensors::save(&tensors, folder.join("batches.safetensors"))?)
}

fn builder(language: Language) -> lota::Builder {
    let reference = std::env::var_os("LOTA_TEST_REFERENCE").is_some();
    Engine::builder(language).reference(reference)
}

fn run<T>(builder: lota::Builder, work: impl FnOnce(&Engine) -> lota::Result<T>) -> Result<T, Failed> {
    let printed = Arc::new(Mutex::new(String::new()));
    let sink = printed.clone();
    let engine = builder
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
