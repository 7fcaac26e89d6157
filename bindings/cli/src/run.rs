//! `run` and `eval`: an engine with everything a program may do, signals, and output.

use std::ffi::OsString;
use std::sync::Once;

use lota::api::{Files, Value, show};
use lota::runtime::host::Cancel;
use lota::scripts;
use lota::{Builder, Engine, Language};
use lota::{Error, Result};

use super::common::Common;
use super::failure::usage;
use super::output::{try_write, write_out};
use super::progress::Progress;
use super::signals::stop_on_signals;

/// The engine of the command line: all files, `io` and `os`, progress on standard error, signals.
pub(super) fn builder(common: &Common, language: Language, name: &str, args: Vec<String>) -> Result<Builder> {
    builders(common, language, Progress::new(common.quiet, common.progress), name, args, 1).map(|make| make())
}

/// Makes this thread one of those that work, of as many as were asked for. Were it none of them, each operation of
/// a script would put it to sleep and wake another: for a small model as long as the operation itself.
pub(super) fn threads(common: &Common) -> Result<()> {
    static MADE: Once = Once::new();
    let mut made = Ok(());
    MADE.call_once(|| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(common.threads).use_current_thread();
        made = pool.build_global().map_err(|e| usage(format!("--threads {}: {e}", common.threads)));
    });
    made
}

/// Engines of the command line, one after the other. A signal asks what runs to stop; the program ends at one Ctrl-C more
/// than `patience`. So does standard output that takes no more: what a script trains is saved.
pub(super) fn builders(
    common: &Common,
    language: Language,
    progress: Progress,
    name: &str,
    args: Vec<String>,
    patience: usize,
) -> Result<impl Fn() -> Builder + use<>> {
    threads(common)?;
    if common.device != "cpu" {
        lota::api::open_device(&common.device)?;
    }
    let compute = common.compute.parse()?;
    let cancel = Cancel::default();
    stop_on_signals(cancel.clone(), patience);
    let (common, name) = (common.clone(), name.to_string());
    Ok(move || {
        let (progress, printer, lost) = (progress.clone(), progress.clone(), cancel.clone());
        Engine::builder(language)
            .device(&common.device)
            .reference(common.reference)
            .compute(compute)
            .files(Files::everything())
            .hub(lota::hub_from_environment())
            .open(true)
            .cancel(cancel.clone())
            .script(name.clone(), args.clone())
            .on_event(move |event| progress.show(event))
            // SAFETY: the allocator may be asked for this at any time.
            .on_freed(|| unsafe { libmimalloc_sys::mi_collect(true) })
            .output(move |text| {
                printer.beside(|| {
                    if !try_write(text) {
                        lost.cancel();
                    }
                });
            })
    })
}

/// Runs a script with its options. `around` may change the engine that it gets.
pub(super) fn script(
    mut common: Common,
    words: Vec<OsString>,
    around: impl Fn(Builder) -> Result<Builder>,
) -> Result<()> {
    let mut words = words
        .into_iter()
        .map(|w| w.into_string().map_err(|w| usage(format!("{} is not UTF-8 text", w.display()))));
    let file = words.next().unwrap_or_else(|| Err(usage("the script is missing")))?;
    let rest = words.collect::<Result<Vec<_>>>()?;
    if file.starts_with('-') {
        return Err(usage(format!(
            "lota run: '{file}' stands where the script's file must; options come after it"
        )));
    }
    let args = take_common(&mut common, rest)?;
    let built_in = scripts::named(&file)?;
    let source = built_in.map_or_else(|| std::fs::read_to_string(&file), |script| Ok(script.source.into()));
    // Without this, a script that never asks for its options would ignore them, and `--help` run it.
    if !args.is_empty() && source.is_ok_and(|source| !source.contains("args")) {
        let text = format!("{file} declares no options: it has no `lota.args`");
        if args.iter().any(|a| a == "--help" || a == "-h") {
            write_out(&format!("{text}\n"));
            return Ok(());
        }
        return Err(usage(format!("{text}, and was given {}", args.join(" "))));
    }
    let language = built_in.map_or_else(|| Language::of(&file), |script| script.language);
    let engine = around(builder(&common, language, &file, args)?)?.build()?;
    match built_in {
        Some(script) => engine.run(script.source, &file).map(drop),
        None => engine.run_file(&file).map(drop),
    }
}

/// Takes lota's own options out of those after the script's file. What follows `--` is the
/// script's in any case.
fn take_common(common: &mut Common, words: Vec<String>) -> Result<Vec<String>> {
    let mut args = Vec::new();
    let mut words = words.into_iter();
    while let Some(word) = words.next() {
        let (name, value) = match word.split_once('=') {
            Some((name, value)) => (name, Some(value.to_string())),
            None => (word.as_str(), None),
        };
        let mut needed = || {
            let given = value.clone().or_else(|| words.next());
            given.ok_or_else(|| usage(format!("{name} needs a value")))
        };
        match name {
            "--device" => common.device = needed()?,
            "--compute" => common.compute = needed()?,
            "--threads" => {
                let given = needed()?;
                common.threads = given
                    .parse()
                    .map_err(|_| usage(format!("--threads needs a whole number, got '{given}'")))?;
            }
            "--progress" => {
                common.progress = Some(needed()?.parse().map_err(|e| usage(format!("--progress: {e}")))?)
            }
            "--quiet" if value.is_none() => common.quiet = true,
            "--reference" if value.is_none() => common.reference = true,
            "--" => {
                args.extend(words);
                break;
            }
            _ => args.push(word),
        }
    }
    Ok(args)
}

pub(super) fn expression(common: Common, language: Language, source: &str) -> Result<()> {
    let engine = builder(&common, language, "", Vec::new())?.build()?;
    engine.open_prompt()?;
    let values = engine.eval(source).map_err(|e| if e.is_incomplete() { incomplete(&e) } else { e })?;
    print_values(&values);
    Ok(())
}

fn incomplete(error: &Error) -> Error {
    Error::new(error.kind(), format!("{} (the script is not complete)", error.message()))
}

pub(crate) fn print_values(values: &[Value]) {
    if !values.is_empty() {
        let texts: Vec<String> = values.iter().map(show).collect();
        write_out(&(texts.join("\t") + "\n"));
    }
}
