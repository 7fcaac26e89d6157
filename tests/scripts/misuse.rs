//! The messages of mistakes. `tests/misuse_lua.txt` and `tests/misuse_rhai.txt` hold them: the script after `> `, then what
//! is told, until an empty line. `LOTA_UPDATE=1` writes what is told now; read it before it is committed.

use std::fmt::Write as _;
use std::path::Path;

use libtest_mimic::{Failed, Trial};
use lota::api::Files;
use lota::{Engine, Language};

/// The languages, the file of each, and how many cases it holds at least.
const FILES: [(Language, &str, usize); 2] = [
    (Language::Lua, concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/misuse_lua.txt"), 90),
    (Language::Rhai, concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/misuse_rhai.txt"), 60),
];

struct Case {
    source: String,
    told: String,
}

fn cases(text: &str) -> Vec<Case> {
    text.split("\n\n")
        .filter(|block| !block.trim().is_empty())
        .map(|block| {
            let (source, told): (Vec<&str>, Vec<&str>) =
                block.trim_matches('\n').lines().partition(|l| l.starts_with('>'));
            let source: Vec<&str> =
                source.iter().map(|l| l.trim_start_matches('>').trim_start_matches(' ')).collect();
            Case { source: source.join("\n"), told: told.join("\n") }
        })
        .collect()
}

/// What the mistake is told as: its kind, and its text without the name of the script.
fn told(language: Language, source: &str) -> Result<String, Failed> {
    let folder = tempfile::tempdir()?;
    std::fs::write(folder.path().join("rows.jsonl"), "{\"prompt\": \"1+1=\", \"target\": \"2\"}\n")?;
    std::fs::write(folder.path().join("broken.jsonl"), "{\"prompt\": \"1+1=\"\n")?;
    let engine = Engine::builder(language)
        .files(Files::roots([folder.path().to_path_buf()]))
        .build()
        .map_err(|e| e.to_string())?;
    if language == Language::Lua {
        engine.eval("lota = require 'lota'").map_err(|e| e.to_string())?;
    }
    let error = match engine.run(source, "script") {
        Ok(value) => return Err(format!("this is no mistake, it gives {value:?}:\n{source}").into()),
        Err(error) => error,
    };
    // The folder is another one at each run.
    let real = folder.path().canonicalize()?;
    let text = error.to_string().replace(&*real.to_string_lossy(), "FOLDER");
    let text = text.lines().filter(|l| !l.trim().is_empty()).collect::<Vec<_>>().join("\n");
    Ok(format!("{}: {text}", error.kind().as_str()))
}

pub fn trials() -> Vec<Trial> {
    FILES.into_iter().flat_map(|(language, file, least)| of_language(language, file, least)).collect()
}

fn of_language(language: Language, file: &'static str, least: usize) -> Vec<Trial> {
    let text = std::fs::read_to_string(Path::new(file)).unwrap_or_default();
    let all = cases(&text);
    let name = language.name();
    if std::env::var_os("LOTA_UPDATE").is_some() {
        return vec![Trial::test(format!("misuse {name}, written anew"), move || {
            update(language, file, &all)
        })];
    }
    let enough = all.len();
    let mut trials: Vec<Trial> = all
        .into_iter()
        .map(|case| {
            let last = case.source.lines().last().unwrap_or_default();
            Trial::test(format!("misuse {name} {last}"), move || {
                let now = told(language, &case.source)?;
                if now == case.told { Ok(()) } else { Err(format!("was: {}\nnow: {now}", case.told).into()) }
            })
        })
        .collect();
    trials.push(Trial::test(format!("misuse {name} is tried in many ways"), move || {
        if enough >= least { Ok(()) } else { Err(format!("{enough} cases are left").into()) }
    }));
    trials
}

fn update(language: Language, file: &str, all: &[Case]) -> Result<(), Failed> {
    let mut out = String::new();
    for case in all {
        for line in case.source.lines() {
            writeln!(out, "> {line}")?;
        }
        writeln!(out, "{}\n", told(language, &case.source)?)?;
    }
    Ok(std::fs::write(file, out)?)
}
