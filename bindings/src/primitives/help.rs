//! `help`: the pages of the registry, from inside a script.

use std::sync::Arc;

use lota_script::{Args, Ctx, Error, Primitive, Registry, Result, Value};

use crate::writers::doc;

pub(super) fn register(r: &mut Registry) {
    r.add(
        Primitive::new("help", "Prints the page of a primitive, an area, a type or a module.")
            .details(
                "It is the text of `lota doc NAME`. A value is explained by the page of its type, a primitive by its own.",
            )
            .arg_or("value", "any", (), "a name such as 'mask.union', or a value; without one the areas are listed")
            .example("lota.help('mask.union')")
            .call(help),
    );
}

fn help(ctx: &Ctx, args: &mut Args) -> Result<()> {
    let value: Value = args.get("value")?;
    let name = match &value {
        Value::Nil => String::new(),
        Value::Str(name) => name.clone(),
        other => match page(other) {
            Some(name) => name,
            None => {
                let text =
                    format!("is {}, which has no page; give a name, as in 'mask.union'", value.describe());
                return Err(args.wrong("value", text));
            }
        },
    };
    match doc::lookup(ctx.get::<Arc<Registry>>()?, &name, ctx.language) {
        Ok(text) => ctx.print(&text)?,
        Err(near) => return Err(unknown(&name, near.as_deref())),
    }
    Ok(())
}

/// The name of the page about a value.
pub fn page(value: &Value) -> Option<String> {
    match value {
        Value::Object(object) => Some(object.type_name().to_string()),
        Value::Function(function) => function.primitive(),
        // The table of an area holds its primitives.
        Value::Map(map) => map.iter().find_map(|(_, item)| match item {
            Value::Function(f) => {
                let name = f.primitive()?;
                let area = name.rsplit_once('.').map_or("", |(area, _)| area);
                (!name.contains(':')).then(|| area.to_string())
            }
            _ => None,
        }),
        _ => None,
    }
}

/// The error about a name that has no page.
pub(crate) fn unknown(name: &str, near: Option<&str>) -> Error {
    Error::argument(match near {
        Some(near) => format!("nothing is called '{name}'; did you mean '{near}'?"),
        None => format!("nothing is called '{name}'; help without a name lists what there is"),
    })
}
