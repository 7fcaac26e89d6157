//! `ticket info` and `ticket apply`.

use std::path::{Path, PathBuf};

use clap::Args;
use lota_runtime::ticket::{Ticket, ValueType, stored_as};
use serde_json::{Map as Json, Value as JsonValue, json};

use super::Common;
use super::model::{call, load};
use super::run::write_out;
use crate::api::{FromValue, Map};
use crate::error::{Error, Result};

pub(super) fn info(file: &Path, as_json: bool) -> Result<()> {
    let ticket = Ticket::load(file, None)?;
    let bytes =
        std::fs::metadata(file).map_err(|e| Error::runtime(format!("{}: {e}", file.display())))?.len();
    let (meta, entries) = (ticket.meta(), ticket.entries());
    let universe = ticket.mask().universe();
    let dtype = match stored_as(file)? {
        ValueType::F32 => "f32",
        ValueType::Bf16 => "bf16",
    };
    let per_entry = if entries == 0 { JsonValue::Null } else { json!(bytes as f64 / entries as f64) };
    let facts = [
        ("file", json!(file.display().to_string())),
        ("bytes", json!(bytes)),
        ("per_entry", per_entry),
        ("index_bytes", json!(ticket.mask().bytes())),
        ("values", json!(dtype)),
        ("entries", json!(entries)),
        ("of", json!(universe.entries())),
        ("density", json!(ticket.mask().density())),
        ("parameters", json!(ticket.mask().selected().count())),
        ("method", json!(meta.method)),
        ("base", json!(meta.base)),
        ("seed", json!(meta.seed)),
        ("data", json!(meta.data)),
        ("lota", json!(meta.lota)),
        ("settings", JsonValue::Object(meta.settings.clone())),
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
        out += &format!("{name:<12} {value}\n");
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
}

impl Apply {
    pub(super) fn run(&self, common: &Common) -> Result<()> {
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
