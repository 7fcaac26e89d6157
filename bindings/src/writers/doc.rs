//! The registry as text to read in a terminal.

use std::fmt::Write as _;

use lota_script::{Language, Op, Place, Primitive, Registry, literal_in, nearest};

use super::examples;
use crate::{scripts, stdlib};

/// The operator of a primitive as a language writes it, if it has it.
pub(super) fn operator(p: &Primitive, language: Language) -> Option<String> {
    let op = p.operator_tag()?;
    let symbol = op.symbol_in(language)?;
    Some(match op {
        Op::Neg | Op::Not | Op::Len => format!("{symbol}a"),
        Op::Index => "a[i]".into(),
        Op::Call => "a(...)".into(),
        _ => format!("a {symbol} b"),
    })
}

/// The text of one primitive, for scripts of a language.
pub fn primitive(p: &Primitive, language: Language) -> String {
    let prefix = match (p.owner(), language) {
        (Some(_), _) => "",
        (None, Language::Rhai) => "lota::",
        (None, _) => "lota.",
    };
    let mut out = format!("{prefix}{}\n    {}\n", p.signature_in(language), p.doc());
    if !p.long_doc().is_empty() {
        let _ = write!(out, "\n{}", wrap(p.long_doc(), 4));
    }
    let shown: Vec<_> = p.params().iter().filter(|q| q.name != "self").collect();
    for (title, option) in [("arguments", false), ("options", true)] {
        let these: Vec<_> = shown.iter().filter(|q| (q.place == Place::Option) == option).collect();
        let open = p.open_doc().filter(|_| option);
        if these.is_empty() && open.is_none() {
            continue;
        }
        let _ = writeln!(out, "\n{title}:");
        for q in these {
            let name = if q.place == Place::Rest { "...".to_string() } else { q.name.to_string() };
            let default = match &q.default {
                _ if q.required && option => " (required)".to_string(),
                _ if q.required => String::new(),
                _ if q.default.is_nil() || q.place == Place::Rest => String::new(),
                value => format!(" (default {})", literal_in(value, language)),
            };
            let _ = writeln!(out, "    {name:<16} {}: {}{default}", q.ty, q.doc);
        }
        if let Some(doc) = open {
            let _ = writeln!(out, "    {:<16} {doc}", "...");
        }
    }
    let (ty, doc) = p.result();
    if ty != "nil" || !doc.is_empty() {
        let _ = writeln!(out, "\nreturns:\n    {ty}{}{doc}", if doc.is_empty() { "" } else { ": " });
    }
    if let Some(form) = operator(p, language) {
        let _ = writeln!(out, "\noperator:\n    {form}");
    }
    let example = match language {
        Language::Lua => p.example_source().to_string(),
        Language::Rhai => examples::rhai(p).unwrap_or_default(),
    };
    if !example.is_empty() {
        let example = example.replace('\n', "\n    ");
        let _ = writeln!(out, "\nexample:\n    {example}");
    }
    out
}

/// One line for each primitive of the list.
fn lines<'a>(out: &mut String, primitives: impl Iterator<Item = &'a Primitive>) {
    for p in primitives {
        let _ = writeln!(out, "    {:<28} {}", p.name(), p.doc());
    }
}

/// A module of the standard library for scripts of a language: its name, its comment, its options if it is one function, and
/// its functions. One that Rhai lacks is shown as Lua has it, with a line on top that says so.
fn module(name: &str, language: Language) -> Option<String> {
    match language {
        Language::Lua => module_lua(name),
        Language::Rhai => {
            module_rhai(name).or_else(|| Some(only_in_lua(name, &format!("lota.{name}"), &module_lua(name)?)))
        }
    }
}

/// The page of what Rhai has not, headed by a line that says so.
fn only_in_lua(name: &str, module: &str, page: &str) -> String {
    format!("Rhai has no '{name}'; this is the page of Lua's, in `require \"{module}\"`:\n\n{page}")
}

/// The comment of a module in Rhai. What its options are stands in the page of Lua, and in its twin's code.
fn module_rhai(name: &str) -> Option<String> {
    let full = format!("lota/{}", name.replace('.', "/"));
    let text = stdlib::header(stdlib::source_rhai(&full)?).trim_end().replace('\n', "\n    ");
    let mut out = format!("import \"{full}\"\n    {text}\n");
    if let Some((area, function)) = name.rsplit_once('.') {
        options(&mut out, area, function);
    }
    Some(out)
}

fn module_lua(name: &str) -> Option<String> {
    let full = format!("lota.{name}");
    let text = stdlib::header(stdlib::source(&full)?).trim_end().replace('\n', "\n    ");
    let mut out = format!("require \"{full}\"\n    {text}\n");
    if let Some((area, function)) = name.rsplit_once('.') {
        options(&mut out, area, function);
    }
    let passed_on = stdlib::names_passed_on(&full).into_iter().filter_map(|name| {
        Some(stdlib::Function { name: name.to_string(), ..stdlib::passed_on(&full, name)? })
    });
    let functions: Vec<stdlib::Function> = stdlib::functions(&full).into_iter().chain(passed_on).collect();
    if !functions.is_empty() {
        out.push_str("\nfunctions:\n");
    }
    for f in functions {
        let called = format!("{name}.{}", f.name);
        let _ = writeln!(out, "    {called:<28} {}", f.summary());
    }
    Some(out)
}

/// A function of a module of the standard library, for scripts of a language. One that Rhai lacks is shown as Lua has it,
/// with a line on top that says so.
fn function(name: &str, language: Language) -> Option<String> {
    let (module, short) = name.rsplit_once('.')?;
    let full = format!("lota.{module}");
    let in_lua = || stdlib::function(&full, short);
    if language == Language::Rhai {
        return function_rhai(module, short, || in_lua().map(|f| f.doc)).or_else(|| {
            let page = function_lua(module, &in_lua()?, short);
            Some(only_in_lua(name, &full, &page))
        });
    }
    Some(function_lua(module, &in_lua()?, short))
}

fn function_lua(module: &str, found: &stdlib::Function, short: &str) -> String {
    let doc = found.doc.replace('\n', "\n    ");
    let mut out = format!("{module}.{short}({}), of require \"lota.{module}\"\n    {doc}\n", found.arguments);
    options(&mut out, module, short);
    out
}

/// All forms of a function in Rhai; what it does is said by its own comment, or by that of Lua's.
fn function_rhai(module: &str, short: &str, doc_of_lua: impl Fn() -> Option<String>) -> Option<String> {
    let home = format!("lota/{}", module.replace('.', "/"));
    let forms: Vec<stdlib::Function> =
        stdlib::functions_rhai(&home).into_iter().filter(|f| f.name == short).collect();
    let area = module.rsplit('.').next().unwrap_or(module);
    let calls: Vec<String> = forms.iter().map(|f| format!("{area}::{short}({})", f.arguments)).collect();
    let doc = forms.iter().map(|f| f.doc.clone()).find(|doc| !doc.is_empty()).or_else(doc_of_lua);
    let doc = doc.unwrap_or_default().replace('\n', "\n    ");
    let mut out = format!("{}, of import \"{home}\"\n    {doc}\n", calls.join(" and "));
    options(&mut out, module, short);
    (!forms.is_empty()).then_some(out)
}

/// The options of a function of the standard library.
fn options(out: &mut String, area: &str, function: &str) {
    let declared = stdlib::options(area, function);
    if !declared.is_empty() {
        out.push_str("\noptions:\n");
    }
    for stdlib::Declared { name, doc, ty, default, choices } in declared {
        let kind = if choices.is_empty() { ty } else { format!("one of {}", choices.join(", ")) };
        let said = [kind, doc].into_iter().filter(|text| !text.is_empty()).collect::<Vec<_>>().join(": ");
        let default = default.map(|d| format!(" (default {d})")).unwrap_or_default();
        let _ = writeln!(out, "    {name:<17} {said}{default}");
    }
}

/// The names that the modules of the standard library have pages under.
pub fn module_names() -> impl Iterator<Item = &'static str> {
    stdlib::MODULES.lua.iter().filter_map(|(name, _)| name.strip_prefix("lota."))
}

/// A line for each module of the standard library.
fn modules(out: &mut String) {
    let title =
        "Modules: Lua files built in; `require 'lota.adapt'` returns one, `lota doc adapt` shows its page.";
    let _ = writeln!(out, "{title}");
    for (name, source) in stdlib::MODULES.lua {
        let _ = writeln!(out, "    {name:<28} {}", stdlib::summary(source));
    }
}

/// What there is, without the single primitives: the areas, types and modules, a line each.
fn overview(registry: &Registry) -> String {
    let mut out = String::from("Areas of `lota`, with how many functions there are in each:\n");
    for (area, doc) in [("", "What needs no area.")].into_iter().chain(registry.areas()) {
        let count = registry.iter().filter(|p| p.area() == Some(area)).count();
        let area = if area.is_empty() { "lota" } else { area };
        let _ = writeln!(out, "    {area:<16} {count:>3}  {doc}");
    }
    out.push_str("\nTypes of values, with how many methods each has:\n");
    for (ty, doc) in registry.types() {
        let _ = writeln!(out, "    {ty:<16} {:>3}  {doc}", registry.methods(ty).count());
    }
    out.push('\n');
    modules(&mut out);
    out.push_str(
        "\n`lota doc NAME` describes an area, a type, a module or one function; `lota doc --search WORD` looks for a word;\n\
         `lota doc all` lists every function. At the prompt: ?NAME.\n",
    );
    out
}

/// Every primitive and module, a line each.
fn everything(registry: &Registry) -> String {
    let mut out = String::new();
    for (area, doc) in [("", "The top table.")].into_iter().chain(registry.areas()) {
        let title = if area.is_empty() { "lota".to_string() } else { format!("lota.{area}") };
        let _ = writeln!(out, "{title}: {doc}");
        lines(&mut out, registry.iter().filter(|p| p.area() == Some(area)).map(|p| &**p));
        out.push('\n');
    }
    for (ty, doc) in registry.types() {
        let _ = writeln!(out, "{ty}: {doc}");
        lines(&mut out, registry.methods(ty).map(|p| &**p));
        out.push('\n');
    }
    modules(&mut out);
    out
}

/// The text for a name: a primitive, an area, a type, a module or a function of one; for an empty name what there is, and
/// for `all` everything, in a line each. Letter case matters only where two names differ in nothing else. `Err` holds the
/// nearest known name.
pub fn lookup(registry: &Registry, name: &str, language: Language) -> Result<String, Option<String>> {
    let name = &name.replace("::", ".");
    find(registry, name, language).or_else(|near| {
        let plain = name.strip_prefix("lota.").unwrap_or(name);
        let names = registry.iter().map(|p| p.name()).chain(registry.types().map(|(ty, _)| ty));
        match names.into_iter().find(|known| known.eq_ignore_ascii_case(plain)) {
            Some(known) => find(registry, known, language),
            None => Err(near),
        }
    })
}

fn find(registry: &Registry, name: &str, language: Language) -> Result<String, Option<String>> {
    if let Some(name) = name.strip_prefix("lota:") {
        return script(name);
    }
    let name = name.strip_prefix("lota.").unwrap_or(name);
    let mut out = String::new();
    match name {
        "" | "lota" => return Ok(overview(registry)),
        "all" => return Ok(everything(registry)),
        _ => {}
    }
    let alternative = name.rsplit_once('.').map(|(owner, short)| format!("{owner}:{short}"));
    if let Some(p) = registry.get(name).or_else(|| alternative.and_then(|a| registry.get(&a))) {
        return Ok(primitive(p, language));
    }
    if let Some((area, doc)) = registry.areas().find(|(area, _)| *area == name) {
        let _ = writeln!(out, "lota.{area}: {doc}");
        lines(&mut out, registry.iter().filter(|p| p.area() == Some(area)).map(|p| &**p));
        if let Some(text) = module(name, language) {
            let _ = write!(out, "\n{text}");
        }
        return Ok(out);
    }
    if let Some((ty, doc)) = registry.types().find(|(ty, _)| *ty == name) {
        let _ = writeln!(out, "{ty}: {doc}");
        lines(&mut out, registry.methods(ty).map(|p| &**p));
        return Ok(out);
    }
    if let Some(text) = module(name, language).or_else(|| function(name, language)) {
        return Ok(text);
    }
    // The end of a name alone: `union`, `lotto`.
    let ends = |full: &str| full.rsplit(['.', ':']).next() == Some(name);
    let primitives = registry.iter().map(|p| (p.name().to_string(), p.doc().to_string()));
    let found: Vec<(String, String)> = primitives.chain(library()).filter(|(full, _)| ends(full)).collect();
    match &found[..] {
        [] => {
            let library: Vec<String> = library().map(|(full, _)| full).collect();
            let passed_on: Vec<String> =
                stdlib::MODULES.lua.iter().flat_map(|(full, _)| passed_on(full)).collect();
            let known = registry.iter().map(|p| p.name()).chain(registry.types().map(|(ty, _)| ty));
            let known = known.chain(library.iter().chain(&passed_on).map(String::as_str));
            Err(nearest(name, known).map(str::to_string))
        }
        [(one, _)] => find(registry, one, language),
        _ => {
            for (full, doc) in found {
                let _ = writeln!(out, "    {full:<28} {doc}");
            }
            Ok(out)
        }
    }
}

/// The pages of the standard library: its modules and their functions, each with its first line.
fn library() -> impl Iterator<Item = (String, String)> {
    stdlib::MODULES.lua.iter().flat_map(|(full, source)| {
        let name = full.strip_prefix("lota.").unwrap_or(full);
        let functions =
            stdlib::functions(full).into_iter().map(move |f| (format!("{name}.{}", f.name), f.summary()));
        [(name.to_string(), stdlib::summary(source))].into_iter().chain(functions)
    })
}

/// The functions of other modules that a module gives too: `cl.table` of `lota.cl`.
fn passed_on(full: &str) -> impl Iterator<Item = String> {
    let name = full.strip_prefix("lota.").unwrap_or(full);
    stdlib::names_passed_on(full).into_iter().map(move |f| format!("{name}.{f}"))
}

/// The page of a built-in script.
fn script(name: &str) -> Result<String, Option<String>> {
    let Some(found) = scripts::all().find(|script| script.name == name) else {
        let near = nearest(name, scripts::all().map(|script| script.name));
        return Err(near.map(|near| format!("lota:{near}")));
    };
    let text = stdlib::header(found.source).trim_end().replace('\n', "\n    ");
    Ok(format!(
        "lota:{name}, a built-in script\n    {text}\n\n`lota run lota:{name} --help` lists its options.\n"
    ))
}

fn wrap(text: &str, indent: usize) -> String {
    let mut out = String::new();
    let mut column = 0;
    for word in text.split_whitespace() {
        let len = word.chars().count();
        if column == 0 || column + 1 + len > 96 {
            if column > 0 {
                out.push('\n');
            }
            out.push_str(&" ".repeat(indent));
            column = indent + len;
        } else {
            out.push(' ');
            column += 1 + len;
        }
        out.push_str(word);
    }
    out.push('\n');
    out
}
