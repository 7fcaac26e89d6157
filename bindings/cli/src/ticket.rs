//! `ticket info`, `apply`, `convert` and `from`.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use lota::api::{FromValue, Map, Value};
use lota::runtime::ticket::{TicketFile, ValueType, entropy_bound};
use lota::{Engine, Error, Language, Result};
use serde_json::{Map as Json, Value as JsonValue, json};

use super::common::{Common, Over};
use super::failure::usage;
use super::model::{call, load, load_in};
use super::output::write_out;
use super::run::builder;

#[derive(Subcommand)]
pub(super) enum Command {
    /// Show what a ticket holds and where it came from
    Info {
        /// The ticket's file
        file: PathBuf,
        /// Say too how many entries differ from this base after rounding to bf16, to f16 and to the base's own type
        #[arg(long, value_name = "MODEL")]
        base: Option<String>,
        /// Print one JSON object
        #[arg(long)]
        json: bool,
    },
    /// Write a model with tickets in it as a Hugging Face folder
    Apply(Apply),
    /// Write a ticket in another form: smaller, for exchange, or from and to other programs
    Convert(Convert),
    /// Make a ticket of what moved most between a model and its fine-tuned version
    From(From),
}

impl Command {
    pub(super) fn run(&self, common: &Common) -> Result<()> {
        match self {
            Self::Info { file, base, json } => info(common, file, base.as_deref(), *json),
            Self::Apply(apply) => apply.run(common),
            Self::Convert(convert) => convert.run(common),
            Self::From(from) => from.run(common),
        }
    }
}

/// What of a ticket shows in its base's types.
fn visible(engine: &Engine, file: &Path, base: &str) -> Result<Map> {
    let model = load_in(engine, base, Map::new())?;
    let expected = Map::new().with("model", model.clone());
    let path = file.display().to_string();
    let ticket = call(engine, "ticket.load", vec![path.into(), expected.into()])?;
    let seen = call(engine, "Ticket:visible", vec![ticket, model])?;
    Map::from_value(seen).map_err(|m| Error::runtime(m.expected))
}

/// How many entries show, as a person reads it.
fn shown(seen: &JsonValue, name: &str) -> String {
    let number = |name: &str| seen[name].as_f64().unwrap_or_default();
    let percent = if number("entries") > 0.0 { 100.0 * number(name) / number("entries") } else { 0.0 };
    format!("{} entries, {percent:.2} %", number(name))
}

fn info(common: &Common, file: &Path, base: Option<&str>, as_json: bool) -> Result<()> {
    // It sets the number of threads, which reading a file already needs.
    let engine = base.map(|_| builder(common, Language::Lua, "", Vec::new())?.build()).transpose()?;
    let read = TicketFile::read(file, None)?;
    let seen = match (&engine, base) {
        (Some(engine), Some(base)) => lota::api::to_json(&Value::Map(visible(engine, file, base)?))?,
        _ => JsonValue::Null,
    };
    let (meta, mask) = (read.meta(), read.mask());
    let entries = mask.count();
    let (max_error, relative_error) = read.error.unzip();
    let per_entry = |bytes: f64| if entries == 0 { JsonValue::Null } else { json!(bytes / entries as f64) };
    let facts = [
        ("file", json!(file.display().to_string())),
        ("bytes", json!(read.bytes)),
        ("per_entry", per_entry(read.bytes as f64)),
        ("codec", json!(read.codec.as_str())),
        ("index_bytes", json!(read.index_bytes)),
        ("bound_bytes", json!(entropy_bound(mask))),
        ("values", json!(read.values.as_str())),
        ("values_of", json!(if read.differences { "differences from the base" } else { "weights" })),
        ("max_error", json!(max_error)),
        ("relative_error", json!(relative_error)),
        ("entries", json!(entries)),
        ("of", json!(mask.universe().entries())),
        ("density", json!(mask.density())),
        ("parameters", json!(mask.selected().count())),
        ("method", json!(meta.method)),
        ("base", json!(meta.base)),
        ("seed", json!(meta.seed)),
        ("data", json!(meta.data)),
        ("lota", json!(meta.lota)),
        ("settings", JsonValue::Object(meta.settings.clone())),
        ("visible", seen),
    ];
    if as_json {
        let facts: Json<String, JsonValue> =
            facts.into_iter().map(|(name, value)| (name.into(), value)).collect();
        write_out(&format!("{}\n", JsonValue::Object(facts)));
        return Ok(());
    }
    let mut out = String::new();
    let mut line = |name: &str, value: &JsonValue| {
        let value = value.as_str().map_or_else(|| value.to_string(), str::to_string);
        out += &format!("{name:<14} {value}\n");
    };
    for (name, value) in &facts {
        match (*name, value) {
            (_, JsonValue::Null) => {}
            ("settings", JsonValue::Object(settings)) => {
                settings.iter().for_each(|(name, value)| line(name, value))
            }
            ("per_entry", _) => {
                line("per entry", &json!(format!("{:.2} bytes", value.as_f64().unwrap_or_default())))
            }
            ("density", _) => {
                line("density", &json!(format!("{:.4} %", 100.0 * value.as_f64().unwrap_or_default())));
            }
            ("index_bytes", _) => line("index bytes", value),
            ("bound_bytes", _) => {
                let bound = value.as_f64().unwrap_or_default();
                let over = 100.0 * (read.index_bytes as f64 / bound - 1.0);
                let over =
                    if bound > 0.0 { format!(" (the index takes {over:+.1} %)") } else { String::new() };
                line("entropy bound", &json!(format!("{bound:.0} bytes{over}")));
            }
            ("values_of" | "max_error" | "relative_error", _) if read.values == ValueType::F32 => {}
            ("values_of", _) => line("values of", value),
            ("max_error", _) => line("largest error", value),
            ("relative_error", _) => {
                line(
                    "error",
                    &json!(format!("{:.4} % (Euclidean)", 100.0 * value.as_f64().unwrap_or_default())),
                );
            }
            ("visible", seen) => {
                line("shows in bf16", &json!(shown(seen, "bf16")));
                line("shows in f16", &json!(shown(seen, "f16")));
                let types: Vec<&str> = seen["own_types"]
                    .as_array()
                    .into_iter()
                    .flatten()
                    .filter_map(JsonValue::as_str)
                    .collect();
                line("in its base", &json!(format!("{} ({})", shown(seen, "own"), types.join(", "))));
            }
            ("lota", _) => line("made by", &json!(format!("lota {}", meta.lota))),
            _ => line(name, value),
        }
    }
    write_out(&out);
    Ok(())
}

#[derive(Args)]
pub(super) struct Apply {
    /// The model the tickets were made on: a folder, a GGUF file or a hub id; `builtin` for the built-in model
    base: String,
    /// The tickets' files. Where two set the same entry, the later one wins
    #[arg(required = true, num_args = 1.., value_name = "TICKET")]
    tickets: Vec<PathBuf>,
    /// The folder to write
    #[arg(required = true, value_name = "OUT")]
    folder: PathBuf,
    /// The type in which the matrices are held and written, f32 or bf16: that in which the tickets were trained
    #[arg(long, default_value = "f32")]
    dtype: String,
    /// The largest size of a file, as in 2GB
    #[arg(long, default_value = "5GB")]
    shard: String,
    /// Apply them to another base than their own, too
    #[arg(long)]
    any_base: bool,
    #[command(flatten)]
    over: Over,
}

impl Apply {
    fn run(&self, common: &Common) -> Result<()> {
        self.over.check(&self.folder)?;
        let dtype = || Map::new().with("dtype", self.dtype.clone());
        let (engine, model) = load(common, &self.base, dtype())?;
        for file in &self.tickets {
            let name = file.display().to_string();
            let expected = Map::new().with("model", model.clone());
            let ticket = call(&engine, "ticket.load", vec![name.clone().into(), expected.into()])?;
            let options = Map::new().with("name", name.clone()).with("any_base", self.any_base);
            call(&engine, "Ticket:apply", vec![ticket.clone(), model.clone(), options.into()])
                .map_err(|e| Error::runtime(format!("{name}: {}", e.message())))?;
            let entries = call(&engine, "Ticket:entries", vec![ticket])?;
            let entries = u64::from_value(entries).map_err(|m| Error::runtime(m.expected))?;
            write_out(&format!("{name}: {entries} entries\n"));
        }
        let folder = self.folder.display().to_string();
        let options = dtype().with("shard", self.shard.clone());
        let files = call(&engine, "Model:save", vec![model, folder.into(), options.into()])?;
        let files = Vec::<String>::from_value(files).map_err(|m| Error::runtime(m.expected))?;
        files.iter().for_each(|file| write_out(&format!("{file}\n")));
        Ok(())
    }
}

/// How a ticket is written.
#[derive(Args)]
struct Form {
    /// How positions are written: plain (roaring sets, for exchange) or compact
    #[arg(long, default_value = "plain")]
    codec: String,
    /// How values are written: f32, bf16, int8 or ternary [default: f32; with --to trl bf16]
    #[arg(long)]
    values: Option<String>,
}

impl Form {
    fn options(&self) -> Map {
        with(Map::new().with("codec", self.codec.clone()), "values", self.values.as_ref())
    }
}

/// A map with an option, if it was given.
fn with(map: Map, name: &str, value: Option<&String>) -> Map {
    match value {
        Some(value) => map.with(name, value.clone()),
        None => map,
    }
}

/// An error if there is something where a ticket is to be written. A command asks before it works.
fn free(out: &str, replace: bool) -> Result<()> {
    match Path::new(out).symlink_metadata() {
        Ok(_) if !replace => {
            Err(usage(format!("{out} is there already; write to another file, or give --replace")))
        }
        _ => Ok(()),
    }
}

/// Says what was written.
fn report(path: &str, saved: Value) -> Result<()> {
    let saved = Map::from_value(saved).map_err(|m| Error::runtime(m.expected))?;
    let number =
        |name: &str| saved.get(name).cloned().and_then(|v| f64::from_value(v).ok()).unwrap_or_default();
    let mut out = format!(
        "{path}: {} entries in {} bytes, {:.2} an entry\n",
        number("entries"),
        number("bytes"),
        number("per_entry")
    );
    if number("rounded") > 0.0 {
        out += &format!(
            "{} values changed: at most by {:e}, together by {:.4} % (Euclidean)\n",
            number("rounded"),
            number("max_error"),
            100.0 * number("relative_error")
        );
    }
    write_out(&out);
    Ok(())
}

#[derive(Args)]
pub(super) struct Convert {
    /// The ticket's file, or a sparse change of another program
    #[arg(value_name = "IN")]
    file: String,
    /// The file (for shira and supertuning the folder) to write
    #[arg(value_name = "OUT")]
    out: String,
    /// Write a format of another program: trl, vllm, shira or supertuning (these two need --base)
    #[arg(long, value_name = "FORMAT")]
    to: Option<String>,
    /// The format of another program that IN has: trl, shira or supertuning [default: told by the file]. Needs --base
    #[arg(long, value_name = "FORMAT")]
    from: Option<String>,
    #[command(flatten)]
    form: Form,
    /// Write over what is at OUT
    #[arg(long)]
    replace: bool,
    /// The base model: int8 and ternary values are then differences from it. Needed to read such a file, and for formats of
    /// other programs
    #[arg(long, value_name = "MODEL")]
    base: Option<String>,
}

impl Convert {
    fn run(&self, common: &Common) -> Result<()> {
        free(&self.out, self.replace)?;
        let options = with(self.form.options(), "to", self.to.as_ref());
        let mut options = with(options, "from", self.from.as_ref());
        let engine = match &self.base {
            Some(base) => {
                let (engine, model) = load(common, base, Map::new())?;
                options = options.with("base", model);
                engine
            }
            None => builder(common, Language::Lua, "", Vec::new())?.build()?,
        };
        let values = vec![self.file.clone().into(), self.out.clone().into(), options.into()];
        report(&self.out, call(&engine, "ticket.convert", values)?)
    }
}

#[derive(Args)]
pub(super) struct From {
    /// The model before: a folder or a hub id
    #[arg(long, value_name = "MODEL")]
    base: String,
    /// The model after: a folder or a hub id
    #[arg(long, value_name = "MODEL")]
    tuned: String,
    /// The fraction of the entries of these parameters
    #[arg(long, default_value_t = 0.1)]
    density: f64,
    /// The parameters: adaptable (attention and MLP matrices), all, or patterns of names
    #[arg(long, default_value = "adaptable", value_name = "PATTERN", num_args = 1..)]
    params: Vec<String>,
    /// Among which entries they compete: global, parameter, layer or row
    #[arg(long, default_value = "global")]
    scope: String,
    /// Where vocabularies differ in size, compare the rows of embedding and head that both have
    #[arg(long)]
    shared_rows: bool,
    /// The file to write
    #[arg(long, default_value = "ticket.safetensors", value_name = "FILE")]
    out: String,
    #[command(flatten)]
    form: Form,
    /// Write over what is at --out
    #[arg(long)]
    replace: bool,
}

impl From {
    fn run(&self, common: &Common) -> Result<()> {
        free(&self.out, self.replace)?;
        let engine = builder(common, Language::Lua, "", Vec::new())?.build()?;
        let options = Map::new()
            .with("density", self.density)
            .with("params", self.params.clone())
            .with("scope", self.scope.clone())
            .with("shared_rows", self.shared_rows);
        let values = vec![self.base.clone().into(), self.tuned.clone().into(), options.into()];
        let ticket = call(&engine, "ticket.from", values)?;
        let values = vec![ticket, self.out.clone().into(), self.form.options().into()];
        report(&self.out, call(&engine, "Ticket:save", values)?)
    }
}
