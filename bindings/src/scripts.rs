//! The scripts of `scripts/`, built in so that they run from any folder: `lota:lota` is `scripts/lota.lua`.

use lota_script::{Error, Language, Result, did_you_mean};

/// What the name of a built-in script begins with where a file could stand.
const PREFIX: &str = "lota:";

/// File names and sources.
static FILES: &[(&str, &str)] = include!(concat!(env!("OUT_DIR"), "/scripts.rs"));

/// A script that is built in.
#[derive(Clone, Copy, Debug)]
pub struct Script {
    /// Its name, without the end that tells the language.
    pub name: &'static str,
    /// Its language.
    pub language: Language,
    /// Its text.
    pub source: &'static str,
}

impl Script {
    fn new((file, source): &(&'static str, &'static str)) -> Self {
        let (name, _) = file.rsplit_once('.').unwrap_or((file, ""));
        Self { name, language: Language::of(file), source }
    }

    /// The first sentence of the comment that it begins with.
    pub fn summary(&self) -> String {
        let comment = self.language.comment();
        let lines = self.source.lines().map_while(|line| line.strip_prefix(comment));
        let lines = lines.map(|line| line.trim_start_matches(['-', '/', '!']).trim());
        let text = lines.take_while(|line| !line.is_empty()).collect::<Vec<_>>().join(" ");
        let end = text.find(". ").unwrap_or(text.len());
        text[..end].trim_end_matches('.').to_string()
    }
}

/// All built-in scripts, in the order of their names.
pub fn all() -> impl Iterator<Item = Script> {
    FILES.iter().map(Script::new)
}

/// The built-in script that a file's name stands for: `lota:NAME`. `None` for any other name; an error where no script
/// is called NAME.
pub fn named(file: &str) -> Result<Option<Script>> {
    let Some(name) = file.strip_prefix(PREFIX) else { return Ok(None) };
    let found = all().find(|script| script.name == name);
    found.map(Some).ok_or_else(|| {
        let hint = did_you_mean(name, all().map(|script| script.name));
        let hint = hint.unwrap_or_else(|| "; `lota scripts` lists them".into());
        Error::argument(format!("no built-in script is called '{name}'{hint}"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_script_is_built_in_and_says_what_it_does() {
        assert!(all().count() >= 3);
        for script in all() {
            let summary = script.summary();
            assert!(summary.len() > 20 && !summary.contains('\n'), "{}: {summary}", script.name);
        }
        let main = named("lota:lota").expect("it is there").expect("it is one");
        assert!(
            main.source.contains("lota.args") && main.summary().starts_with("LoTA and LoTTO on two tasks")
        );
    }

    #[test]
    fn only_the_prefix_makes_a_name_that_of_a_built_in_script() {
        assert!(named("lota.lua").expect("a file").is_none());
        let told = named("lota:mrege").expect_err("there is none").to_string();
        assert_eq!(told, "no built-in script is called 'mrege'; did you mean 'merge'?");
    }
}
