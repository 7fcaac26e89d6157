//! Attacks on a small engine, in this process and in one of its own. Each file of `tests/sandbox` is one, headed by what must come of it:
//! `-- expect: KIND part of the message` (in Rhai with `//`). The engine must be usable afterwards.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use libtest_mimic::{Failed, Trial};
use lota::api::{Files, Value};
#[cfg(unix)]
use lota::isolation::{Isolation, Process};
use lota::runtime::mask::Mask;
use lota::runtime::model::{ParamSpec, Role, Universe};
use lota::{Engine, Language, Limits};

use super::watched;

/// Bytes of script memory.
const MEMORY: u64 = 24 << 20;

/// Bytes of tensors and other objects.
const TENSORS: u64 = 64 << 20;
/// What a guest may hold beyond a fifth more than its limits: what crosses the border, and buffers of readers.
const BESIDE: u64 = 24 << 20;
/// What an attack on time may take, and how late it may end. It should be a tenth of a second. This machine is shared with as
/// many attacks as it has threads for, so what counts is the time that the thread itself worked; it may wait for longer.
const TIME: Duration = Duration::from_secs(1);
const LATE: Duration = Duration::from_secs(1);
const WAITED: Duration = Duration::from_secs(30);

/// How long this thread has worked, where the system tells.
fn worked() -> Duration {
    let told = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    told.split(' ').next().and_then(|n| n.parse().ok()).map_or(Duration::ZERO, Duration::from_nanos)
}

/// Small, so that every attack meets its limit soon. The time is there to end what escapes the rest; for an attack on
/// time it is all there is.
fn limits(on_time: bool) -> Limits {
    if on_time {
        return Limits { time: Some(TIME), instructions: None, ..limits(false) };
    }
    Limits {
        script_memory: Some(MEMORY),
        tensor_memory: Some(TENSORS),
        time: Some(Duration::from_secs(120)),
        instructions: Some(3_000_000),
        output: Some(100_000),
        call_depth: Some(120),
        open_files: Some(4),
    }
}

pub fn trials() -> Vec<Trial> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/sandbox");
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    let is_attack = |path: &PathBuf| path.extension().is_some_and(|end| end == "lua" || end == "rhai");
    let mut files: Vec<PathBuf> = entries.filter(is_attack).collect();
    assert!(files.len() > 100, "there are attacks");
    files.sort();
    let trials = files.into_iter().flat_map(|path| {
        let name = path.file_name().unwrap_or_default().display().to_string();
        let here = (format!("sandbox {name}"), false);
        let apart = cfg!(unix).then(|| (format!("sandbox apart {name}"), true));
        std::iter::once(here).chain(apart).map(move |(name, apart)| {
            let path = path.clone();
            Trial::test(name, move || attack(&path, apart))
        })
    });
    trials.collect()
}

/// A root with a file, a secret beside it, and the links and pipes that attacks try.
fn root() -> Result<(tempfile::TempDir, PathBuf), Failed> {
    let outside = tempfile::tempdir()?;
    let root = outside.path().join("root");
    std::fs::create_dir_all(root.join("in"))?;
    for secret in ["secret.txt", "secret.lua", "module.lua"] {
        std::fs::write(outside.path().join(secret), "return 'secret'")?;
    }
    big_mask(&root.join("big.mask"))?;
    #[cfg(unix)]
    {
        std::os::unix::fs::symlink(outside.path(), root.join("link"))?;
        std::os::unix::fs::symlink(outside.path().join("secret.txt"), root.join("linked.txt"))?;
        let made = std::process::Command::new("mkfifo").arg(root.join("pipe")).status()?;
        if !made.success() {
            return Err("mkfifo failed".into());
        }
    }
    Ok((outside, root))
}

/// A mask file of some hundred bytes that describes a model of 200 billion entries.
fn big_mask(path: &Path) -> Result<(), Failed> {
    let spec = |i: u32| ParamSpec {
        name: format!("w{i}"),
        shape: vec![1 << 16, 1 << 16],
        role: Role::Mlp,
        layer: Some(0),
    };
    let universe = Universe::new((0..50).map(spec).collect()).map_err(|e| e.to_string())?;
    Mask::none(universe).save(path).map_err(|e| e.to_string())?;
    Ok(())
}

/// Runs an attack on an engine of this process, or on one that has a process of its own.
fn attack(path: &Path, apart: bool) -> Result<(), Failed> {
    let source = std::fs::read_to_string(path)?;
    let language = Language::of(path);
    let (comment, after) = match language {
        Language::Rhai => ("// expect: ", "let n = 0; for i in 1..=10 { n += i; } n"),
        _ => ("-- expect: ", "local n = 0 for i = 1, 10 do n = n + i end return n"),
    };
    let expected = source.lines().next().and_then(|line| line.strip_prefix(comment));
    let expected = expected.ok_or_else(|| format!("the first line must be `{comment}KIND text`"))?;
    let (kind, text) = expected.split_once(' ').unwrap_or((expected, ""));
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let on_time = name.starts_with("time_");
    let (_outside, root) = root()?;
    let builder = Engine::builder(language).files(Files::roots([root])).limits(limits(on_time));
    #[cfg(unix)]
    let builder = if apart { builder.isolation(Isolation::Process(Process::new())) } else { builder };
    let engine = builder.build().map_err(|e| e.to_string())?;
    let (began, before) = (Instant::now(), worked());
    let (result, peak) = watched::peak(|| engine.run(&source, "attack"));
    let (took, work) = (began.elapsed(), worked() - before);
    match (&result, kind) {
        (Ok(_), "ok") => {}
        (Err(error), kind) if error.kind().as_str() == kind && error.to_string().contains(text) => {}
        (Ok(value), _) => return Err(format!("expected {expected}, but it ran and gave {value:?}").into()),
        (Err(error), _) => return Err(format!("expected {expected}, got {error:?}").into()),
    }
    // A guest that the host had to kill, since it was late on a machine with other things to do, is gone.
    let killed =
        apart && result.as_ref().is_err_and(|error| error.to_string().contains("its process was ended"));
    drop(result);
    if on_time && (work > TIME + LATE || took > TIME + WAITED) {
        let (took, work) = (took.as_secs_f64(), work.as_secs_f64());
        return Err(format!("it ended after {took:.1} s, of which it worked {work:.1} s").into());
    }
    let most = (MEMORY + TENSORS) / 5 * 6 + BESIDE;
    if peak > most {
        return Err(format!("{peak} bytes were held at once, and {most} are the most").into());
    }
    // One operation is seen only once it is done.
    if name.starts_with("memory_") && peak > 2 * MEMORY {
        return Err(format!("with {MEMORY} bytes allowed, {peak} were held at once").into());
    }
    match engine.run(after, "after") {
        Ok(Value::Int(55)) => Ok(()),
        Err(error) if killed && error.kind() == lota::ErrorKind::Crashed => Ok(()),
        other => Err(format!("the engine is not usable afterwards: {other:?}").into()),
    }
}
