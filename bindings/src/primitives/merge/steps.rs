//! The steps of a merge file: one configuration, or several of which later ones use what earlier
//! ones make.

use std::path::{Path, PathBuf};

use lota_runtime::merge::{Body, Config, Reference, TokenSource, TokenizerSource};
use lota_script::{Error, Granted, Result};
use serde_json::Value as Json;

/// One merge and where its result goes.
#[derive(Debug)]
pub(super) struct Step {
    pub config: Config,
    pub out: Granted,
    /// The text of its configuration.
    pub source: String,
}

/// Reads the documents of a YAML text.
pub(super) fn documents(text: &str, file: &str) -> Result<Vec<Json>> {
    // `on`, `y` and such are names of models as well as words for true: those who ask for a truth value take both.
    let options = serde_saphyr::options! { strict_booleans: true };
    let read: Vec<Json> = serde_saphyr::from_multiple_with_options(text, options)
        .map_err(|e| Error::argument(format!("{file}: {}", unreadable(&e.to_string()))))?;
    let all: Vec<Json> = read.into_iter().filter(|d| !d.is_null()).collect();
    if all.is_empty() {
        return Err(Error::argument(format!("{file}: holds no configuration")));
    }
    Ok(all)
}

/// What the YAML reader says to its programmer, and what a user reads instead.
const SAYS: [(&str, &str); 3] = [
    (", set DuplicateKeyPolicy in Options if acceptable", "; keep one of the two"),
    (" rejected by the configured policy", " cannot be used here"),
    (
        "recursive references require weak recursion types",
        "an alias stands inside the value that it refers to",
    ),
];

/// What is wrong with a text that the YAML reader refuses.
fn unreadable(told: &str) -> String {
    let told = told.trim_end();
    let told = told.strip_prefix("error: ").unwrap_or(told);
    match SAYS.iter().find(|(says, _)| told.contains(says)) {
        Some((says, instead)) => told.replace(says, instead),
        None => format!("not YAML: {told}"),
    }
}

/// One configuration of several, in its place.
pub(super) struct Part {
    pub config: Config,
    source: String,
    /// The name of the folder that its result is written to, if that is not the folder of the whole.
    folder: Option<String>,
}

/// The configurations in an order in which each comes after those it uses. Named ones are steps, the one without a name is
/// the whole; where all have names, the last is. A name is one plain part of a path.
pub(super) fn order(documents: &[Json]) -> Result<Vec<Part>> {
    let mut configs: Vec<(Config, String)> = Vec::new();
    for (i, document) in documents.iter().enumerate() {
        let config = Config::read(document).map_err(|e| match documents.len() {
            1 => Error::from(e),
            _ => Error::argument(format!("document {}: {e}", i + 1)),
        })?;
        if let Some(name) = &config.name {
            check_name(name)?;
        }
        let source = if documents.len() == 1 { String::new() } else { to_yaml(document) };
        configs.push((config, source));
    }
    let last = configs.iter().position(|(c, _)| c.name.is_none()).unwrap_or(configs.len() - 1);
    if configs.iter().filter(|(c, _)| c.name.is_none()).count() > 1 {
        return Err(Error::argument(
            "more than one of the configurations has no name: only the last may have none",
        ));
    }
    let names: Vec<Option<String>> = configs.iter().map(|(c, _)| c.name.clone()).collect();
    for (i, name) in names.iter().enumerate() {
        if name.is_some() && names[..i].contains(name) {
            return Err(Error::argument(format!(
                "two configurations are called {:?}",
                name.as_deref().unwrap_or_default()
            )));
        }
    }
    let uses = |config: &Config| -> Vec<usize> {
        let models: Vec<String> = config.references().into_iter().map(|r| r.model).collect();
        (0..names.len()).filter(|&i| names[i].as_ref().is_some_and(|n| models.contains(n))).collect()
    };
    let mut done: Vec<usize> = Vec::new();
    while done.len() < configs.len() {
        let ready = (0..configs.len())
            .find(|i| !done.contains(i) && uses(&configs[*i].0).iter().all(|u| done.contains(u)));
        let Some(ready) = ready else {
            let left: Vec<&str> = (0..configs.len())
                .filter(|i| !done.contains(i))
                .filter_map(|i| names[i].as_deref())
                .collect();
            return Err(Error::argument(format!(
                "the configurations {} use each other in a circle",
                left.join(", ")
            )));
        };
        done.push(ready);
    }
    let part = |i: usize| {
        let (config, source) = configs[i].clone();
        Part { folder: config.name.clone().filter(|_| i != last), config, source }
    };
    Ok(done.into_iter().map(part).collect())
}

/// The steps of these configurations: named ones are written to a folder in `between`, the whole to `out`.
pub(super) fn place(parts: Vec<Part>, out: &Granted, between: &Granted) -> Result<Vec<Step>> {
    let mut places: Vec<(Option<String>, Granted)> = Vec::new();
    for part in &parts {
        let place = match &part.folder {
            Some(name) => between.join(name)?,
            None => out.clone(),
        };
        if part.folder.is_some() && overlap(place.path(), out.path())? {
            return Err(Error::argument(format!(
                "the result of {:?} would be written to {place} and that of the whole to {out}: neither may lie in the other",
                part.config.name.as_deref().unwrap_or_default(),
            )));
        }
        places.push((part.config.name.clone(), place));
    }
    let at = |model: &str| {
        let found = places.iter().find(|(name, _)| name.as_deref() == Some(model));
        found.map(|(_, place)| place.path().to_string_lossy().into_owned())
    };
    let step = |(mut part, (_, out)): (Part, &(Option<String>, Granted))| {
        rename(&mut part.config, &at);
        Step { config: part.config, out: out.clone(), source: part.source }
    };
    Ok(parts.into_iter().zip(&places).map(step).collect())
}

/// An error unless a name can be that of a folder in another, and of nothing else.
fn check_name(name: &str) -> Result<()> {
    let wrong = |what: &str| {
        Err(Error::argument(format!(
            "name: {name:?} {what}: the result of this step is a folder that is called so"
        )))
    };
    if name.is_empty() || name.len() > 200 {
        return wrong("must have 1 to 200 bytes");
    }
    if name.starts_with('.') {
        return wrong("must not begin with a dot");
    }
    if name.contains(['/', '\\', ':']) || name.chars().any(char::is_control) {
        return wrong("must have no slash, backslash, colon or control character");
    }
    Ok(())
}

/// Whether one of two folders lies in the other, or is it.
fn overlap(a: &Path, b: &Path) -> Result<bool> {
    let real = |path: &Path| -> Result<PathBuf> {
        if let Ok(real) = path.canonicalize() {
            return Ok(real);
        }
        Ok(std::path::absolute(path).map_err(|e| lota_runtime::Error::io(path, e))?)
    };
    let (a, b) = (real(a)?, real(b)?);
    Ok(a.starts_with(&b) || b.starts_with(&a))
}

/// Replaces the names of earlier steps by where their results are.
fn rename(config: &mut Config, to: &dyn Fn(&str) -> Option<String>) {
    let one = |reference: &mut Reference| {
        if let Some(path) = to(&reference.model) {
            reference.model = path;
        }
    };
    config.base.iter_mut().for_each(one);
    match &mut config.body {
        Body::Models(models) => models.iter_mut().for_each(|m| one(&mut m.model)),
        Body::Slices(slices) => {
            for slice in slices {
                slice.base.iter_mut().for_each(one);
                slice.sources.iter_mut().for_each(|s| one(&mut s.model));
            }
        }
    }
    if let Some(tokenizer) = &mut config.tokenizer {
        if let TokenizerSource::Model(model) = &mut tokenizer.source {
            one(model);
        }
        for (_, source, _) in &mut tokenizer.tokens {
            match source {
                TokenSource::Model(model) | TokenSource::Token(model, _) | TokenSource::Id(model, _) => {
                    one(model)
                }
                TokenSource::Usual | TokenSource::Zero => {}
            }
        }
    }
}

/// JSON is YAML.
fn to_yaml(document: &Json) -> String {
    serde_json::to_string_pretty(document).unwrap_or_default() + "\n"
}

#[cfg(test)]
mod tests {
    use lota_script::Files;

    use super::*;

    fn placed(documents: &[Json], out: &str, between: &str) -> Result<Vec<Step>> {
        let [out, between] =
            [out, between].map(|path| Files::everything().grant(path).expect("everything is granted"));
        place(order(documents)?, &out, &between)
    }

    fn steps(text: &str) -> Result<Vec<(String, PathBuf)>> {
        let documents = documents(text, "merge.yml")?;
        let steps = placed(&documents, "out", "between")?;
        Ok(steps
            .into_iter()
            .map(|s| (s.config.references()[0].model.clone(), s.out.path().to_path_buf()))
            .collect())
    }

    #[test]
    fn steps_come_after_what_they_use() {
        let text = "name: second\nmerge_method: linear\nmodels: [{model: first}]\n---\n\
                    name: first\nmerge_method: linear\nmodels: [{model: a}]\n---\n\
                    merge_method: linear\nmodels:\n- model: second\n- model: b\n";
        let expected =
            [("a", "between/first"), ("between/first", "between/second"), ("between/second", "out")];
        assert_eq!(steps(text).expect("valid"), expected.map(|(m, o)| (m.to_string(), PathBuf::from(o))));
    }

    #[test]
    fn circles_and_doubles_are_refused() {
        let one = |name: &str, uses: &str| {
            format!("name: {name}\nmerge_method: linear\nmodels: [{{model: {uses}}}]\n")
        };
        let text = |t: String| steps(&t).expect_err("refused").to_string();
        assert_eq!(
            text(format!("{}---\n{}", one("x", "y"), one("y", "x"))),
            "the configurations x, y use each other in a circle"
        );
        assert_eq!(
            text(format!("{}---\n{}", one("x", "a"), one("x", "a"))),
            "two configurations are called \"x\""
        );
        assert_eq!(text("# nothing\n".to_string()), "merge.yml: holds no configuration");
        assert!(text("a: [1".to_string()).starts_with("merge.yml: not YAML: line 1"));
        let twice = text("a: 1\na: 2".to_string());
        assert!(
            twice.starts_with("merge.yml: line 2 column 1: duplicate mapping key: a; keep one of the two\n"),
            "{twice}"
        );
        assert!(text("a: .nan".to_string()).contains("non-finite float `.nan` cannot be used here\n"));
        assert!(
            text("a: &a [*a]".to_string()).contains("an alias stands inside the value that it refers to\n")
        );
    }

    #[test]
    fn names_are_plain_parts_of_a_path() {
        for name in ["..", ".", "../x", "/etc/x", "a/b", "a\\\\b", "c:x", ".hidden", "", "a\\nb", "a\\0"] {
            let text = format!(
                "name: \"{name}\"\nmerge_method: linear\nmodels: [{{model: a}}]\n---\nmerge_method: linear\nmodels: [{{model: b}}]\n"
            );
            let refused = steps(&text).expect_err(name).to_string();
            assert!(refused.starts_with("name: "), "{refused}");
        }
        let one = |name: &str| format!("name: {name}\nmerge_method: linear\nmodels: [{{model: a}}]\n---\n");
        assert!(steps(&format!("{}{}", one("käse 2.0"), one("x"))).is_ok());
        // `between` may be the folder that `out` is in.
        let documents = documents(&format!("{}{}", one("out"), one("last")), "merge.yml").expect("YAML");
        let refused = placed(&documents, "here/out", "here").expect_err("the same folder");
        assert!(refused.to_string().contains("neither may lie in the other"), "{refused}");
    }

    #[test]
    fn tokens_of_a_step_are_had_from_its_folder() {
        let text = "name: first\nmerge_method: linear\nmodels: [{model: a}]\n---\nmerge_method: linear\nmodels: [{model: first}]\n\
                    tokenizer: {source: union, tokens: {x: {source: first}}}\n";
        let steps = placed(&documents(text, "merge.yml").expect("YAML"), "out", "between");
        let steps = steps.expect("valid");
        let tokens = &steps[1].config.tokenizer.as_ref().expect("a tokenizer").tokens;
        assert_eq!(tokens[0].1, TokenSource::Model(Reference::new("between/first")));
    }

    #[test]
    fn numbers_and_words_of_yaml_are_read_as_such() {
        let read =
            documents("a: 1e-5\nb: 1.0e-5\nc: yes\nd: [0, 0.5]\ne: null\nf: 0.3\n", "x").expect("YAML");
        let map = read[0].as_object().expect("a map");
        let number = |v: &Json| v.as_f64().or_else(|| v.as_str().and_then(|s| s.parse().ok()));
        assert_eq!(
            (number(&map["a"]), number(&map["b"]), number(&map["f"])),
            (Some(1e-5), Some(1e-5), Some(0.3))
        );
        assert!(map["e"].is_null() && map["d"].is_array());
    }
}
