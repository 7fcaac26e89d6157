//! `merge.conflicts`: how task vectors lie to each other, as rows, a table and a chart.

use std::fmt::Write as _;
use std::io::Write as _;
use std::sync::Arc;

use lota_runtime::merge::{Conflicts, Input, conflicts};
use lota_script::{Args, Ctx, Error, Granted, Map, Primitive, Registry, Result, Value};

use super::inputs::as_input;
use super::{WHAT, example};
use crate::machine::OnMachine as _;
use crate::plot::HeatMap;

pub(super) fn register(r: &mut Registry) {
    let merged = "a model that was made of them, to show how far it went from the base";
    r.add(
        with_models(Primitive::new("merge.conflicts", "What task vectors change, where they meet and where they pull apart, layer by layer."))
            .opt("merged", "Model|Snapshot|string", (), merged)
            .returns(
                "list of map",
                "for each layer (`outside` for what lies outside of layers), and `all`: group, entries, changed and norms (one \
                 for each model), any, shared (entries that several change), conflicts (of those, pulled to both sides), \
                 both, opposed and cosines (one for each pair: 1-2, 1-3, 2-3, ...), base_norm, merged_norm",
            )
            .example(example("local rows = lota.merge.conflicts({a, b}, {base = base})\nassert(rows[#rows].group == 'all' and rows[#rows].shared == 0)"))
            .call(|ctx, args| Ok(rows(ctx, args)?.1.into_iter().map(row).collect::<Vec<Map>>())),
    );
    r.add(
        with_models(Primitive::new("merge.report", "The same as a Markdown table, and as a chart."))
            .opt("merged", "Model|Snapshot|string", (), merged)
            .opt("names", "list of string", (), "what the models are called; their numbers if not given")
            .opt("title", "string", "Task vectors", "the heading of the chart")
            .opt("path", "string", (), "a file to write the chart to, as SVG")
            .returns("string", "the table")
            .example(example("local text = lota.merge.report({a, b}, {base = base, names = {'a', 'b'}})\nassert(text:find('conflicts', 1, true))"))
            .call(report),
    );
}

fn with_models(record: Primitive) -> Primitive {
    record.arg("models", WHAT, "what is compared").need(
        "base",
        "Model|Snapshot|string",
        "what they were made from",
    )
}

fn rows(ctx: &Ctx, args: &mut Args) -> Result<(usize, Vec<Conflicts>)> {
    let base: Value = args.get("base")?;
    let input = |value: &Value, label: &str, base: Option<&Arc<dyn Input>>| {
        as_input(ctx, value, label, base).unwrap_or_else(|| {
            Err(Error::argument(format!("{label} cannot be compared: it is a {}", value.type_name())))
        })
    };
    let base = input(&base, "base", None)?;
    let mut models = Vec::new();
    for (i, value) in args.get::<Vec<Value>>("models")?.into_iter().enumerate() {
        let value = match value {
            Value::Map(mut map) => map.take("model").unwrap_or_default(),
            other => other,
        };
        models.push(input(&value, &format!("model {}", i + 1), Some(&base))?);
    }
    let merged: Value = args.get("merged")?;
    let merged = if merged.is_nil() { None } else { Some(input(&merged, "merged", Some(&base))?) };
    let made = conflicts(&base, &models, merged.as_ref(), ctx.exec()?, &ctx.host)?;
    Ok((models.len(), made))
}

fn row(c: Conflicts) -> Map {
    Map::new()
        .with("group", c.group)
        .with("entries", c.entries)
        .with("changed", c.changed)
        .with("norms", c.norms)
        .with("any", c.any)
        .with("shared", c.shared)
        .with("conflicts", c.conflicts)
        .with("both", c.both)
        .with("opposed", c.opposed)
        .with("cosines", c.cosines)
        .with("base_norm", c.base_norm)
        .with("merged_norm", c.merged_norm)
}

fn report(ctx: &Ctx, args: &mut Args) -> Result<String> {
    let (n, rows) = rows(ctx, args)?;
    let names = args.opt::<Vec<String>>("names")?.unwrap_or_else(|| (1..=n).map(|i| i.to_string()).collect());
    if names.len() != n {
        return Err(args.wrong("names", format!("must be {n}, one for each model, and are {}", names.len())));
    }
    if let Some(path) = args.opt_file("path")? {
        save(&path, &chart(&rows, &names, args.get("title")?))?;
    }
    Ok(table(&rows, &names))
}

/// A model's name, and what it scores on each task.
pub(super) type Scored = (String, Vec<(String, f64)>);

/// Writes the report of a merge: a table and a chart, each file whole or not at all.
pub(super) fn write(
    [table_file, chart_file]: &[Granted; 2],
    rows: &[Conflicts],
    names: &[String],
    scores: &[Scored],
) -> Result<()> {
    let mut text = table(rows, names);
    if !scores.is_empty() {
        text = format!("{}\n{text}", scored(scores));
    }
    let chart = chart(rows, names, "Task vectors".to_string());
    // Beside each other, so the name alone leads from one to the other.
    let name = chart_file.path().file_name().unwrap_or_default().to_string_lossy();
    let _ = writeln!(text, "\n![Task vectors: shares by layer](<{name}>)");
    save(table_file, &text)?;
    save(chart_file, &chart)
}

fn save(file: &Granted, text: &str) -> Result<()> {
    let path = file.path();
    let io = |e| lota_runtime::Error::io(path, e);
    Ok(lota_runtime::host::write_atomic(path, |w| w.write_all(text.as_bytes()).map_err(io))?)
}

/// The shares by layer as coloured cells.
fn chart(rows: &[Conflicts], names: &[String], title: String) -> String {
    let columns = columns(names, false);
    let shown: Vec<&Column> = columns.iter().filter(|c| c.share).collect();
    HeatMap {
        title,
        rows: rows.iter().map(|r| r.group.clone()).collect(),
        columns: shown.iter().map(|c| c.name.clone()).collect(),
        values: rows.iter().map(|r| shown.iter().map(|c| (c.value)(r)).collect()).collect(),
        range: None,
    }
    .to_svg()
}

fn table(rows: &[Conflicts], names: &[String]) -> String {
    let columns = columns(names, rows.iter().any(|r| r.merged_norm.is_some()));
    let mut text = String::from("| layer |");
    columns.iter().for_each(|c| text += &format!(" {} |", c.name));
    text += "\n| --- |";
    columns.iter().for_each(|_| text += " ---: |");
    text.push('\n');
    for row in rows {
        let _ = write!(text, "| {} |", row.group);
        for column in &columns {
            let value = (column.value)(row);
            let shown = if column.share { format!("{value:.3}") } else { format!("{value:.4}") };
            let _ = write!(text, " {shown} |");
        }
        text.push('\n');
    }
    text
}

/// A line for each model, a column for each task.
fn scored(scores: &[Scored]) -> String {
    let mut tasks: Vec<&str> = Vec::new();
    for (task, _) in scores.iter().flat_map(|(_, of)| of) {
        if !tasks.contains(&task.as_str()) {
            tasks.push(task);
        }
    }
    let mut text = format!("| model | {} |\n| --- |{}\n", tasks.join(" | "), " ---: |".repeat(tasks.len()));
    for (model, of) in scores {
        let _ = write!(text, "| {model} |");
        for task in &tasks {
            let score = of.iter().find(|(name, _)| name == task);
            let _ =
                write!(text, " {} |", score.map_or(String::from("-"), |(_, score)| format!("{score:.3}")));
        }
        text.push('\n');
    }
    text
}

struct Column {
    name: String,
    /// Whether it is a share between 0 and 1, and so can stand beside others in a chart.
    share: bool,
    value: Box<dyn Fn(&Conflicts) -> f64>,
}

fn columns(names: &[String], merged: bool) -> Vec<Column> {
    let part = |a: u64, b: u64| if b == 0 { 0.0 } else { a as f64 / b as f64 };
    let column =
        |name: String, share: bool, value: Box<dyn Fn(&Conflicts) -> f64>| Column { name, share, value };
    let mut all = Vec::new();
    for (i, name) in names.iter().enumerate() {
        all.push(column(
            format!("changed by {name}"),
            true,
            Box::new(move |c| part(c.changed[i], c.entries)),
        ));
    }
    all.push(column("shared".into(), true, Box::new(move |c| part(c.shared, c.any))));
    all.push(column("conflicts".into(), true, Box::new(move |c| part(c.conflicts, c.shared))));
    let mut pair = 0;
    for (i, a) in names.iter().enumerate() {
        for b in &names[i + 1..] {
            let at = pair;
            all.push(column(
                format!("opposed {a}, {b}"),
                true,
                Box::new(move |c| part(c.opposed[at], c.both[at])),
            ));
            all.push(column(format!("cosine {a}, {b}"), false, Box::new(move |c| c.cosines[at])));
            pair += 1;
        }
    }
    for (i, name) in names.iter().enumerate() {
        all.push(column(format!("norm of {name}"), false, Box::new(move |c| c.norms[i])));
    }
    if merged {
        all.push(column("norm of the merge".into(), false, Box::new(|c| c.merged_norm.unwrap_or(f64::NAN))));
    }
    all
}
