//! `data.*`: files to rows, rows to examples, examples to batches.

mod batch;
mod batches;
mod examples;
mod given;
mod instruction;
mod tensors;

use lota_runtime::data::{Format, ReadLimits, read};
use lota_script::{Args, Ctx, Primitive, Registry, Result, Value, from_json};

pub(crate) use batch::ScriptBatch;
pub(crate) use batches::ScriptBatches;
pub(crate) use given::{all_batches, batches_of, limited_batches, one_batch};

pub(super) fn register(r: &mut Registry) {
    r.area("data", "Data files, training examples and batches.");
    r.add(
        Primitive::new("data.read", "The rows of a data file: JSON lines, JSON (an array of rows too), CSV, TSV or Parquet.")
            .details(
                "CSV and TSV have no types: their values are strings. A null is a missing entry. Of Parquet, dates and \
                 times are strings (2020-01-02, 2020-01-02T03:04:05Z), as are decimals, and whole numbers too large for a \
                 script's 64 bits; bytes that are not UTF-8 text are left out, and a notice says so. The others may be \
                 packed by gzip or zstd (rows.jsonl.gz, rows.csv.zst).",
            )
            .arg("path", "string", "the file")
            .opt(
                "format",
                "string",
                "auto",
                "jsonl, json, csv, tsv or parquet; auto goes by the file's ending",
            )
            .opt("limit", "integer", (), "the most rows to read")
            .returns("list of map", "the rows, field name to value")
            .example(
                "local path = lota.run.start('data-read'):write('rows.jsonl', '{\"a\": 1}\\n{\"a\": 2}\\n')\n\
                 assert(lota.data.read(path)[2].a == 2)",
            )
            .call(rows),
    );
    tensors::register(r);
    examples::register(r);
    batches::register(r);
    batch::register(r);
}

fn rows(ctx: &Ctx, args: &mut Args) -> Result<Vec<Value>> {
    let path = args.file("path")?;
    let format: String = args.get("format")?;
    let format = match format.as_str() {
        "auto" => None,
        name => Some(Format::named(name).map_err(|e| args.wrong("format", e))?),
    };
    let limit: Option<usize> = args.opt("limit")?;
    if limit == Some(0) {
        return Err(args.wrong("limit", "must be at least 1, got 0"));
    }
    // A row in memory is larger than its text.
    let bytes = path.bytes();
    ctx.meter.value(bytes)?;
    let limits = ReadLimits { rows: limit, memory: ctx.meter.limits().script_memory };
    let rows = read(path.path(), format, limits, &ctx.host)?.into_iter();
    Ok(rows.map(|row| from_json(serde_json::Value::Object(row))).collect())
}
