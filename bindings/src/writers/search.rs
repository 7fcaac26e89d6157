//! Searching what is documented: primitives, modules of the standard library and their functions, built-in scripts.

use std::fmt::Write as _;

use lota_script::{Registry, nearest};

use crate::{scripts, stdlib};

/// How many results are shown.
const SHOWN: usize = 20;

/// What a match is worth where it stands.
const NAME: u32 = 100;
const LINE: u32 = 40;
const PARAMETER: u32 = 25;
const TEXT: u32 = 8;

/// Something that has a page.
struct Page {
    name: String,
    line: String,
    /// Names of parameters and options, and what they are.
    parameters: Vec<(String, String)>,
    /// Details and examples.
    text: String,
}

/// The pages that hold all words of a query, the best first, a line each. `Err` holds the nearest known word where there
/// is none.
pub fn search(registry: &Registry, query: &str) -> Result<String, Option<String>> {
    let pages = pages(registry);
    let words: Vec<String> = query.split_whitespace().map(str::to_lowercase).collect();
    let mut found: Vec<(u32, &Page, Option<&str>)> =
        pages.iter().filter_map(|page| rank(page, &words).map(|(score, why)| (score, page, why))).collect();
    if words.is_empty() || found.is_empty() {
        return Err(near(&pages, &words));
    }
    found.sort_by(|a, b| b.0.cmp(&a.0).then_with(|| a.1.name.cmp(&b.1.name)));
    let mut out = String::new();
    for (_, page, why) in found.iter().take(SHOWN) {
        let why = why.map(|name| format!(" [{name}]")).unwrap_or_default();
        let _ = writeln!(out, "    {:<28} {}{why}", page.name, page.line);
    }
    if let Some(more) = found.len().checked_sub(SHOWN).filter(|n| *n > 0) {
        let _ = writeln!(out, "    ... and {more} more; another word narrows the search");
    }
    Ok(out)
}

/// What a page is worth for a query, and the parameter that made it so, if it was one. `None` where a word is missing.
fn rank<'a>(page: &'a Page, words: &[String]) -> Option<(u32, Option<&'a str>)> {
    let (mut sum, mut why) = (0, None);
    for word in words {
        let plain = [(NAME, &page.name), (LINE, &page.line), (TEXT, &page.text)];
        let elsewhere = plain.into_iter().map(|(worth, text)| worth * matches(text, word)).max().unwrap_or(0);
        let parameter = page
            .parameters
            .iter()
            .map(|(name, doc)| (PARAMETER * matches(name, word)).max(TEXT * matches(doc, word)))
            .zip(&page.parameters)
            .max_by_key(|(worth, _)| *worth);
        match parameter {
            Some((worth, (name, _))) if worth > elsewhere => {
                why = why.or(Some(name.as_str()));
                sum += worth;
            }
            _ if elsewhere == 0 => return None,
            _ => sum += elsewhere,
        }
    }
    Some((sum, why))
}

/// How well a text holds a word: 4 as all of it, 3 as a word of it, 2 as the beginning of one, 1 inside one, or 0.
fn matches(text: &str, word: &str) -> u32 {
    let text = text.to_lowercase();
    if text == word {
        return 4;
    }
    let mut best = u32::from(text.contains(word));
    for part in text.split(|c: char| !c.is_alphanumeric()).filter(|part| !part.is_empty()) {
        best = match part.strip_prefix(word) {
            Some("" | "s") => return 3,
            Some(_) => best.max(2),
            None => best,
        };
    }
    best
}

fn near(pages: &[Page], words: &[String]) -> Option<String> {
    let known: Vec<String> = pages
        .iter()
        .flat_map(|page| {
            let names = page.parameters.iter().map(|(name, _)| name.as_str());
            let texts = [page.name.as_str(), page.line.as_str()].into_iter().chain(names);
            texts.flat_map(|text| text.split(|c: char| !c.is_alphanumeric() && c != '_'))
        })
        .filter(|word| word.len() > 3)
        .map(str::to_lowercase)
        .collect();
    words.iter().find_map(|word| nearest(word, known.iter().map(String::as_str)).map(str::to_string))
}

fn pages(registry: &Registry) -> Vec<Page> {
    let mut pages: Vec<Page> = registry
        .iter()
        .map(|p| Page {
            name: p.name().to_string(),
            line: p.doc().to_string(),
            parameters: p.params().iter().map(|q| (q.name.to_string(), q.doc.to_string())).collect(),
            text: format!("{} {} {}", p.long_doc(), p.result().1, p.example_source()),
        })
        .collect();
    pages.extend(registry.areas().chain(registry.types()).map(|(name, doc)| Page {
        name: name.to_string(),
        line: doc.to_string(),
        parameters: Vec::new(),
        text: String::new(),
    }));
    for (module, source) in stdlib::MODULES.lua {
        let name = module.strip_prefix("lota.").unwrap_or(module);
        let header = stdlib::header(source);
        pages.push(Page {
            name: name.to_string(),
            line: stdlib::summary(source),
            parameters: name.split_once('.').map(|(a, f)| parameters(a, f)).unwrap_or_default(),
            text: header,
        });
        pages.extend(stdlib::functions(module).into_iter().map(|f| Page {
            name: format!("{name}.{}", f.name),
            line: f.summary(),
            parameters: parameters(name, &f.name),
            text: f.doc,
        }));
    }
    pages.extend(scripts::all().map(|script| Page {
        name: format!("lota:{}", script.name),
        line: script.summary(),
        parameters: Vec::new(),
        text: String::new(),
    }));
    pages
}

fn parameters(area: &str, function: &str) -> Vec<(String, String)> {
    stdlib::options(area, function).into_iter().map(|o| (o.name, o.doc)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::standard;

    fn first(query: &str) -> String {
        let found = search(&standard(), query).unwrap_or_else(|_| panic!("nothing for '{query}'"));
        found.split_whitespace().next().unwrap_or_default().to_string()
    }

    #[test]
    fn the_best_match_comes_first() {
        assert_eq!(first("mask.union"), "mask.union");
        assert_eq!(first("UNION"), "mask.union");
        assert_eq!(first("lotto"), "adapt.lotto");
        assert_eq!(first("shuffle random order"), "Rng:shuffle");
        assert_eq!(first("curves"), "report.curves");
        assert_eq!(first("controls forgets").split(':').next(), Some("lota"), "scripts are searched too");
    }

    #[test]
    fn a_match_in_a_parameter_says_which() {
        let found = search(&standard(), "calibration_steps").expect("it is an option");
        assert!(
            found.lines().any(|l| l.contains("adapt.lota ") && l.ends_with("[calibration_steps]")),
            "{found}"
        );
    }

    #[test]
    fn all_words_must_be_there_and_a_slip_is_told() {
        assert!(search(&standard(), "mask zebra").is_err());
        assert_eq!(search(&standard(), "denisty"), Err(Some("density".into())));
        assert_eq!(search(&standard(), "qqqqqqqqqq"), Err(None));
        assert!(search(&standard(), "  ").is_err());
    }

    #[test]
    fn a_common_word_does_not_flood_the_screen() {
        let found = search(&standard(), "tensor").expect("many");
        assert_eq!(found.lines().count(), SHOWN + 1);
        assert!(found.contains(" more; another word narrows the search"));
    }
}
