//! `model info` and `model convert`, through the same primitives scripts use.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use clap::Subcommand;
use lota::api::{FromValue, Map, Value, show};
use lota::{Engine, Language};
use lota::{Error, ErrorKind, Result};

use super::common::{Common, Over};
use super::failure::usage;
use super::output::write_out;
use super::run::builder;

#[derive(Subcommand)]
pub(super) enum Command {
    /// Show a model's shape and size
    Info {
        /// A folder, a GGUF file or a hub id; `builtin` for the built-in model
        model: String,
        /// Show the fingerprint of its weights too, for which all of them are read
        #[arg(long)]
        fingerprint: bool,
    },
    /// Write a model as a Hugging Face folder
    Convert {
        /// A folder, a GGUF file or a hub id; `builtin` for the built-in model
        model: String,
        /// The folder to write
        folder: PathBuf,
        /// The type of the weights: f32, bf16 or f16
        #[arg(long, default_value = "bf16")]
        dtype: String,
        /// The largest size of a file, as in 2GB
        #[arg(long, default_value = "5GB")]
        shard: String,
        /// Give the model a head of its own where its head is the embedding
        #[arg(long)]
        untied: bool,
        #[command(flatten)]
        over: Over,
    },
}

impl Command {
    pub(super) fn run(&self, common: &Common) -> Result<()> {
        match self {
            Self::Info { model, fingerprint } => info(common, model, *fingerprint),
            Self::Convert { model, folder, dtype, shard, untied, over } => {
                over.check(folder)?;
                convert(common, model, folder, dtype, shard, *untied)
            }
        }
    }
}

/// Calls a primitive by its name.
pub(super) fn call(engine: &Engine, name: &str, values: Vec<Value>) -> Result<Value> {
    let primitive = engine.registry().get(name);
    let primitive =
        primitive.ok_or_else(|| Error::new(ErrorKind::Host, format!("there is no primitive '{name}'")))?;
    primitive.invoke(engine.ctx(), values)
}

/// An engine, and a model in it loaded with these options.
pub(super) fn load(common: &Common, source: &str, options: Map) -> Result<(Engine, Value)> {
    let engine = builder(common, Language::Lua, "", Vec::new())?.build()?;
    let model = match source {
        "builtin" => call(&engine, "model.builtin", vec![options.into()])?,
        path => call(&engine, "model.load", vec![path.into(), options.into()])?,
    };
    Ok((engine, model))
}

fn info(common: &Common, source: &str, fingerprint: bool) -> Result<()> {
    let (engine, model) = load(common, source, Map::new())?;
    let info = call(&engine, "Model:info", vec![model.clone()])?;
    let mut out = String::new();
    let map = Map::from_value(info).map_err(|m| Error::new(ErrorKind::Host, m.expected))?;
    for (name, value) in map.iter().filter(|(_, value)| !value.is_nil()) {
        match (name, value) {
            ("by_role", Value::List(roles)) => {
                for role in roles {
                    let _ = writeln!(out, "{:<14} {}", "", of_role(role));
                }
            }
            ("heads", Value::List(heads)) => {
                let [q, kv, size] = [0, 1, 2].map(|i| heads.get(i).map(show).unwrap_or_default());
                let _ = writeln!(out, "{name:<14} {q} for queries, {kv} for keys and values, of {size}");
            }
            ("bytes", Value::Int(bytes)) => {
                let _ = writeln!(out, "{name:<14} {bytes} ({:.1} MB)", *bytes as f64 / 1e6);
            }
            (_, value) => {
                let _ = writeln!(out, "{name:<14} {}", show(value));
            }
        }
    }
    if fingerprint {
        let fingerprint = call(&engine, "Model:fingerprint", vec![model])?;
        let _ = writeln!(out, "{:<14} {}", "fingerprint", show(&fingerprint));
    }
    write_out(&out);
    Ok(())
}

/// `attention: 16 parameters, 262144 entries`, from a list of those three.
fn of_role(role: &Value) -> String {
    match role {
        Value::List(parts) if parts.len() == 3 => {
            let (name, parameters, entries) = (show(&parts[0]), show(&parts[1]), show(&parts[2]));
            format!("{name}: {parameters} parameters, {entries} entries")
        }
        other => show(other),
    }
}

fn convert(
    common: &Common,
    source: &str,
    folder: &Path,
    dtype: &str,
    shard: &str,
    untied: bool,
) -> Result<()> {
    let (engine, mut model) = load(common, source, Map::new())?;
    if untied {
        model = call(&engine, "Model:untied", vec![model])?;
    }
    let options = Map::new().with("dtype", dtype).with("shard", shard);
    let path = folder.to_str().ok_or_else(|| usage(format!("{} is not UTF-8 text", folder.display())))?;
    let files = call(&engine, "Model:save", vec![model, path.into(), options.into()])?;
    let files = Vec::<String>::from_value(files).map_err(|m| Error::new(ErrorKind::Host, m.expected))?;
    let mut out = String::new();
    for file in files {
        let _ = writeln!(out, "{file}");
    }
    write_out(&out);
    Ok(())
}
