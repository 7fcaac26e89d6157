//! The modules built into the library: every Lua and Rhai file of `stdlib/`.

mod functions;
mod lex;
mod options;
mod page;

use lota_script::{Language, Modules};

pub use functions::{Function, function, functions, functions_rhai, names_passed_on, passed_on};
pub use options::{Declared, options};
pub(crate) use page::{first_sentence, header, summary};

/// Their names (`lota.adapt`, in Rhai `lota/adapt`) and sources.
pub const MODULES: Modules = Modules {
    lua: include!(concat!(env!("OUT_DIR"), "/stdlib.rs")),
    rhai: include!(concat!(env!("OUT_DIR"), "/stdlib_rhai.rs")),
};

/// The source of a module in Lua.
pub fn source(module: &str) -> Option<&'static str> {
    MODULES.lua.iter().find(|(name, _)| *name == module).map(|(_, source)| *source)
}

/// The source of a module in Rhai: `lota/adapt`.
pub(crate) fn source_rhai(module: &str) -> Option<&'static str> {
    MODULES.rhai.iter().find(|(name, _)| *name == module).map(|(_, source)| *source)
}

/// The source of a module in a language, by its name as `lota doc` has it: `adapt.lota`.
pub fn of_name(name: &str, language: Language) -> Option<&'static str> {
    let name = name.strip_prefix("lota.").unwrap_or(name);
    match language {
        Language::Lua => source(&format!("lota.{name}")),
        Language::Rhai => source_rhai(&format!("lota/{}", name.replace('.', "/"))),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::MODULES;

    /// The functions that a module of Rhai defines, and those names that it calls by the name alone.
    fn functions(source: &str) -> (Vec<&str>, Vec<&str>) {
        let code: Vec<&str> = source.lines().filter(|line| !line.trim_start().starts_with("//")).collect();
        let defined = code.iter().filter_map(|line| line.strip_prefix("fn ")?.split('(').next());
        let mut called = Vec::new();
        for line in &code {
            let line =
                line.strip_prefix("fn ").and_then(|l| l.split_once('(')).map_or(*line, |(_, rest)| rest);
            for (at, _) in line.match_indices('(') {
                let before = &line[..at];
                let name =
                    before.rsplit(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap_or_default();
                let path = &before[..before.len() - name.len()];
                if !name.is_empty() && !path.ends_with(['.', ':']) {
                    called.push(name);
                }
            }
        }
        (defined.collect(), called)
    }

    /// Rhai keeps the function that it found for a name, whichever module it was found in: of two modules that call each
    /// other, both would use one of the two functions.
    #[test]
    fn no_two_modules_of_rhai_call_functions_of_one_name_by_the_name_alone() {
        let mut homes: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        let read: Vec<_> = MODULES.rhai.iter().map(|(name, source)| (*name, functions(source))).collect();
        for (module, (defined, _)) in &read {
            for function in defined {
                let homes = homes.entry(function).or_default();
                if !homes.contains(module) {
                    homes.push(module);
                }
            }
        }
        let mut calls = 0;
        for (module, (defined, called)) in &read {
            for function in called.iter().filter(|name| defined.contains(name)) {
                calls += 1;
                assert_eq!(
                    homes[function],
                    [*module],
                    "{module} calls {function}: give it a name of its own"
                );
            }
        }
        assert!(calls > 100, "{calls} calls were found");
    }
}
