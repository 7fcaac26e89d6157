//! `doc`: the registry as text, as pages and as data.

use std::path::Path;

use lota::Language;
use lota::Result;
use lota::api;

use super::failure::usage;
use super::output::write_out;

pub(super) fn print(name: &str, language: Language) -> Result<()> {
    match api::doc::lookup(&api::standard(), name, language) {
        Ok(text) => {
            write_out(&text);
            Ok(())
        }
        Err(Some(near)) => Err(usage(format!("nothing is called '{name}'; did you mean '{near}'?"))),
        Err(None) => {
            let text = "`lota doc` lists what there is, `lota doc --search WORD` looks for a word";
            Err(usage(format!("nothing is called '{name}'; {text}")))
        }
    }
}

/// Prints a module of the standard library: `adapt.lota`.
pub(super) fn source(name: &str, language: Language) -> Result<()> {
    let Some(text) = api::module_source(name, language) else {
        let text = "is no module of the standard library in this language; `lota doc` lists them";
        return Err(usage(format!("'{name}' {text}")));
    };
    write_out(text);
    Ok(())
}

/// Prints the pages that hold the words, the best first.
pub(super) fn search(words: &[String]) -> Result<()> {
    let query = words.join(" ");
    let hint = match api::search(&api::standard(), &query) {
        Ok(text) => {
            write_out(&text);
            return Ok(());
        }
        Err(Some(near)) => format!("did you mean '{near}'?"),
        Err(None) => "`lota doc` lists what there is".into(),
    };
    Err(usage(format!("nothing is said about '{query}'; {hint}")))
}

pub(super) fn json() -> Result<()> {
    write_out(&format!("{:#}\n", api::reference::json(&api::standard(), &api::examples::rhai)?));
    Ok(())
}

/// Writes the pages of the reference, and removes pages of areas that are gone.
pub(super) fn markdown(folder: &Path) -> Result<()> {
    let failed = |e| lota::runtime::Error::io(folder, e);
    std::fs::create_dir_all(folder).map_err(failed)?;
    let pages = api::reference::pages(&api::standard(), &api::examples::rhai)?;
    for entry in std::fs::read_dir(folder).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        let name = path.file_name().and_then(|n| n.to_str()).unwrap_or_default();
        if name.starts_with("lota") && name.ends_with(".md") && pages.iter().all(|(page, _)| page != name) {
            std::fs::remove_file(&path).map_err(failed)?;
        }
    }
    for (name, text) in pages {
        std::fs::write(folder.join(name), text).map_err(failed)?;
    }
    Ok(())
}
