//! Definitions in Rhai's own form (`.d.rhai`), from the registry.

use std::fmt::Write as _;

use lota_script::{Language, Place, Primitive, Registry};

/// The definitions file.
pub fn definitions(registry: &Registry) -> String {
    let mut out = String::from("// Written by `lota types --rhai`.\n\nmodule static;\n\n");
    for (ty, doc) in registry.types() {
        let _ = writeln!(out, "// {ty}: {doc}\n");
        for p in registry.methods(ty) {
            function(&mut out, p, p.short_name());
        }
    }
    let mut areas: Vec<(&str, &str)> = registry.areas().collect();
    areas.insert(0, ("", "The top table."));
    for (area, doc) in areas {
        let path =
            if area.is_empty() { "lota".to_string() } else { format!("lota::{}", area.replace('.', "::")) };
        let _ = writeln!(out, "// Module {path}: {doc}\n");
        for p in registry.iter().filter(|p| p.area() == Some(area)) {
            if p.is_constant() {
                let _ = writeln!(
                    out,
                    "/// {}\nconst {path}::{}: {};\n",
                    p.doc(),
                    p.short_name(),
                    ty(p.result().0)
                );
            } else {
                function(&mut out, p, &format!("{path}::{}", p.short_name()));
            }
        }
    }
    out
}

fn function(out: &mut String, p: &Primitive, name: &str) {
    let _ = writeln!(out, "/// {}\n///\n/// `{}`", p.doc(), p.signature_in(Language::Rhai));
    let mut names = Vec::new();
    for q in p.params() {
        match q.place {
            Place::Positional => names.push(format!("{}: {}", q.name, ty(&q.ty))),
            Place::Rest => names.push(format!("...: {}", ty(&q.ty))),
            Place::Option => {
                let _ = writeln!(out, "/// - `{}`: {}: {}", q.name, q.ty, q.doc);
            }
        }
    }
    if p.params().iter().any(|q| q.place == Place::Option) || p.open_doc().is_some() {
        names.push("options: Map".into());
    }
    let result = match p.result().0 {
        "nil" => "()".to_string(),
        words => ty(words),
    };
    let _ = writeln!(out, "fn {name}({}) -> {result};\n", names.join(", "));
}

/// A type of the registry as Rhai names it; what may be several is anything.
fn ty(words: &str) -> String {
    match words {
        "boolean" => "bool".into(),
        "integer" | "index" | "dim" => "int".into(),
        "number" => "float".into(),
        "string" => "String".into(),
        "map" => "Map".into(),
        "function" => "FnPtr".into(),
        list if list == "list" || list.starts_with("list of ") && !list.contains('|') => "Array".into(),
        plain if plain.chars().all(char::is_alphanumeric) && plain.starts_with(char::is_uppercase) => {
            plain.into()
        }
        _ => "?".into(),
    }
}
