//! The top table: version, memory, printing.

use lota_script::{Map, Primitive, Registry, Value, nearest, show};

pub(super) fn register(r: &mut Registry) {
    r.add(
        Primitive::new("version", "The version of lota.")
            .returns("string", "as in 1.2.3")
            .example("assert(lota.version:match('^%d+%.%d+%.%d+'))")
            .example_rhai("assert(lota::version.split(\".\").len() >= 3)")
            .constant()
            .call(|_, _| Ok(crate::VERSION)),
    );
    r.add(
        Primitive::new("memory", "The tensor memory that script values keep alive.")
            .returns("map", "live and peak in bytes, and how often the collector ran because of them")
            .example("assert(lota.memory().live >= 0)")
            .call(|ctx, _| {
                Ok(Map::new()
                    .with("live", ctx.memory.live())
                    .with("peak", ctx.memory.peak())
                    .with("collections", ctx.memory.collections()))
            }),
    );
    r.add(
        Primitive::new("nearest", "Which of some names was meant by one that is none of them.")
            .details("By the number of letters that differ; a name from which too many do is not meant.")
            .arg("name", "string", "the name")
            .arg("names", "list of string", "the names that there are")
            .returns("string", "the nearest; nil if none is near")
            .example(
                "assert(lota.nearest('desnity', {'steps', 'density'}) == 'density')\n\
                 assert(lota.nearest('mask', {'steps', 'density'}) == nil)",
            )
            .call(|ctx, args| {
                let (name, names): (String, Vec<String>) = (args.get("name")?, args.get("names")?);
                let mut best: Option<&str> = None;
                for some in names.chunks(100) {
                    ctx.host.cancel.check()?;
                    best = nearest(&name, best.into_iter().chain(some.iter().map(String::as_str)));
                }
                Ok(best.map_or(Value::Nil, |found| Value::Str(found.to_string())))
            }),
    );
    r.add(
        Primitive::new("print", "Prints values, tables written out.")
            .rest("values", "any", "what to print")
            .shows()
            .example("lota.print({a = 1, b = {2, 3}})")
            .call(|ctx, args| {
                let values: Vec<Value> = args.get("values")?;
                let texts: Vec<String> = values.iter().map(show).collect();
                ctx.print(&(texts.join("\t") + "\n"))?;
                Ok(())
            }),
    );
}
