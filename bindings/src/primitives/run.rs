//! `run.*` and `Run`: run folders; `markdown`: tables for reports.

use std::sync::{Arc, Mutex, MutexGuard};

use lota_script::{
    Args, Ctx, Map, OpenFile, Primitive, Registry, Result, Scripted, Value, from_record, to_record,
};

use crate::primitives::claims::Claims;
use crate::runs::{RunFolder, markdown_table};

/// A run folder that a script holds.
pub struct Run {
    folder: Arc<Mutex<RunFolder>>,
    /// Its metrics file stays open.
    _open: OpenFile,
}

impl Scripted for Run {
    const TYPE: &'static str = "Run";

    fn show(&self) -> String {
        let folder = self.folder();
        format!("Run({}, {} records)", folder.dir().display(), folder.logged())
    }
}

impl Run {
    pub(super) fn folder(&self) -> MutexGuard<'_, RunFolder> {
        self.folder.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

pub(super) fn register(r: &mut Registry) {
    r.area("run", "Run folders: the config, metrics and files of one run.");
    r.object("Run", "A run folder.");
    r.add(
        Primitive::new("run.start", "Starts a run in a folder.")
            .details(
                "The folder gets config.json (the config) and metrics.jsonl (one JSON object for each call of \
                 run:log). A folder that holds a run already is an error unless resume is true; then the config \
                 must be the same, but for an entry `resume`, which is not compared. A folder in which another program's run is at work is an error that says which.",
            )
            .arg("dir", "string", "the folder; it is made if it does not exist")
            .opt("config", "map", (), "what this run was asked to do, written to config.json")
            .opt("resume", "boolean", false, "continue the run that is in the folder, if there is one")
            .opt("numbered", "boolean", false, "take the first free one of DIR-1, DIR-2, … instead, and no other program takes it too")
            .returns("Run", "the run")
            .example("local run = lota.run.start('run-start', {config = {lr = 0.1}})\nrun:log {step = 1, loss = 2.5}\n\
                      local next = lota.run.start('run-start', {numbered = true})\nassert(next:dir():find('run-start-1', 1, true))")
            .call(start),
    );
    r.add(
        Primitive::new("run.writable", "An error unless files can be written into a folder.")
            .details("For what would otherwise fail hours later, when there is something to save.")
            .arg("dir", "string", "the folder; it is made if it does not exist")
            .example("lota.run.writable('run-writable')")
            .call(|_, args| Ok(lota_runtime::host::check_writable(args.file("dir")?.path())?)),
    );
    methods(r);
    r.add(
        Primitive::new("markdown", "A Markdown table, padded so that it also reads well as text.")
            .details("Columns of numbers are aligned to the right.")
            .arg("header", "list of string", "the names of the columns")
            .arg("rows", "list", "the rows, each a list of texts, numbers or booleans")
            .returns("string", "the table")
            .example(
                "local text = lota.markdown({'method', 'score'}, {{'lota', 0.5}, {'random', 0.25}})\n\
                 assert(text:find('| lota   |   0.5 |', 1, true), text)",
            )
            .call(markdown),
    );
}

fn start(ctx: &Ctx, args: &mut Args) -> Result<Value> {
    let mut dir = args.file("dir")?;
    let config: Option<Value> = args.opt("config")?;
    let config =
        config.map(|c| to_record(&as_map(c))).transpose().map_err(|e| args.wrong("config", e.message()))?;
    let (resume, numbered): (bool, bool) = (args.get("resume")?, args.get("numbered")?);
    if resume && numbered {
        return Err(
            args.wrong("resume", "needs the folder of the run to go on with; `numbered` makes a new one")
        );
    }
    let open = ctx.meter.open_file()?;
    if numbered {
        dir = dir.make_numbered()?;
    }
    let folder = ctx.get::<Claims>()?.run(&dir, config.as_ref(), resume, &ctx.host.events)?;
    Ok(Value::object(Run { folder, _open: open }))
}

/// An empty table is a map here.
fn as_map(value: Value) -> Value {
    match value {
        Value::List(items) if items.is_empty() => Value::Map(Map::new()),
        other => other,
    }
}

fn methods(r: &mut Registry) {
    r.add(
        Primitive::method(
            "Run",
            "log",
            "Adds one record to metrics.jsonl; it is on the disk when this returns.",
        )
        .details(
            "JSON has no form for NaN and infinities: they are written as the words NaN, Infinity and -Infinity, which \
             run:records() reads as the numbers.",
        )
        .arg("record", "map", "the record")
        .example("local run = lota.run.start('run-log')\nrun:log {step = 1, loss = 2.5}")
        .call(|_, args| {
            let run = args.this::<Run>()?;
            let record = as_map(args.get("record")?);
            if !matches!(record, Value::Map(_)) {
                return Err(args.wrong("record", format!("must be a map, got {}", record.describe())));
            }
            let json = to_record(&record).map_err(|e| args.wrong("record", e.message()))?;
            Ok(run.folder().log(&json)?)
        }),
    );
    r.add(
        Primitive::method("Run", "records", "The records logged so far, those of before a resume included.")
            .returns("list of map", "the records in order")
            .example("local run = lota.run.start('run-records')\nrun:log {step = 1}\nassert(run:records()[1].step == 1)")
            .call(|ctx, args| {
                let run = args.this::<Run>()?;
                // A record in memory is larger than its text.
                ctx.reserve(usize::try_from(run.folder().bytes()).unwrap_or(usize::MAX).saturating_mul(16))?;
                let records = run.folder().records()?;
                Ok(records.into_iter().map(from_record).collect::<Vec<_>>())
            }),
    );
    r.add(
        Primitive::method("Run", "path", "The path of a file of this run, its folder made.")
            .details("A name that leads out of the run folder is refused.")
            .arg("name", "string", "the name inside the run folder, such as plots/loss.svg")
            .returns("string", "the path")
            .example(
                "local run = lota.run.start('run-path')\nassert(run:path('plots/loss.svg'):find('plots'))",
            )
            .call(|_, args| {
                let run = args.this::<Run>()?;
                let file = run.folder().file(&args.get::<String>("name")?)?;
                Ok(file.path().to_string_lossy().into_owned())
            }),
    );
    r.add(
        Primitive::method("Run", "write", "Writes a file of this run: all of it or nothing.")
            .arg("name", "string", "the name inside the run folder")
            .arg("text", "string", "what to write")
            .returns("string", "the path")
            .example("local run = lota.run.start('run-write')\nrun:write('report.md', '# Report')")
            .call(|_, args| {
                let run = args.this::<Run>()?;
                let (name, text): (String, String) = (args.get("name")?, args.get("text")?);
                let file = run.folder().write(&name, text.as_bytes())?;
                Ok(file.path().to_string_lossy().into_owned())
            }),
    );
    r.add(
        Primitive::method("Run", "dir", "The folder of this run.")
            .returns("string", "the path")
            .example("assert(lota.run.start('run-dir'):dir():find('run-dir', 1, true))")
            .call(|_, args| Ok(args.this::<Run>()?.folder().dir().to_string_lossy().into_owned())),
    );
}

fn markdown(ctx: &Ctx, args: &mut Args) -> Result<String> {
    let cell = |value: Value| match value {
        Value::Str(s) => s,
        Value::Int(i) => i.to_string(),
        Value::Float(x) => x.to_string(),
        Value::Bool(b) => b.to_string(),
        Value::Nil => String::new(),
        other => other.describe(),
    };
    let header: Vec<String> = args.get("header")?;
    let rows: Vec<Vec<Value>> = args.get("rows")?;
    let rows: Vec<Vec<String>> = rows.into_iter().map(|row| row.into_iter().map(cell).collect()).collect();
    // Every row is as wide as the widest cells of all, and each character may be escaped.
    let mut widths: Vec<u64> = Vec::new();
    for row in rows.iter().chain([&header]) {
        widths.resize(widths.len().max(row.len()), 3);
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(2 * cell.len() as u64);
        }
    }
    let row: u64 = widths.iter().map(|width| width + 3).sum();
    ctx.meter.value(row.saturating_mul(rows.len() as u64 + 2))?;
    Ok(markdown_table(&header, &rows))
}
