//! `lora info`, `apply` and `extract`, through the same primitives scripts use.

use std::fmt::Write as _;
use std::path::Path;

use clap::{Args, Subcommand};
use lota::api::{FromValue, Map, Value, show};
use lota::{Engine, Language};
use lota::{Error, Result};

use super::common::{Common, Over};
use super::failure::usage;
use super::model::{call, load};
use super::output::write_out;
use super::run::builder;

#[derive(Subcommand)]
pub(super) enum Command {
    /// Show what an adapter changes
    Info {
        /// The adapter's folder
        folder: String,
    },
    /// Write a model with adapters merged into it as a Hugging Face folder
    Apply(Apply),
    /// Write the adapter of low rank that is nearest to what a fine-tuned model or a ticket changes
    Extract(Extract),
}

impl Command {
    pub(super) fn run(&self, common: &Common) -> Result<()> {
        match self {
            Self::Info { folder } => {
                let engine = builder(common, Language::Lua, "", Vec::new())?.build()?;
                let adapter = call(&engine, "lora.load", vec![folder.clone().into()])?;
                write_out(&described(&engine, &adapter)?);
                Ok(())
            }
            Self::Apply(apply) => apply.run(common),
            Self::Extract(extract) => extract.run(common),
        }
    }
}

/// What there is to say of an adapter: its facts, then a line a module.
fn described(engine: &Engine, adapter: &Value) -> Result<String> {
    let wrong = |m: lota::api::Mismatch| Error::runtime(m.expected);
    let info = Map::from_value(call(engine, "Lora:info", vec![adapter.clone()])?).map_err(wrong)?;
    let mut out = String::new();
    for (name, value) in info.iter().filter(|(_, value)| !value.is_nil()) {
        let empty = matches!(value, Value::List(items) if items.is_empty());
        if !empty {
            let _ = writeln!(out, "{name:<10} {}", show(value));
        }
    }
    let modules =
        Vec::<Map>::from_value(call(engine, "Lora:modules", vec![adapter.clone()])?).map_err(wrong)?;
    for module in modules {
        let text = |name: &str| module.get(name).map(show).unwrap_or_default();
        let number = |name: &str| module.get(name).cloned().and_then(|v| f64::from_value(v).ok());
        let _ = write!(
            out,
            "{}  {}  rank {}  scale {}",
            text("name"),
            text("shape"),
            text("rank"),
            text("scale")
        );
        if let (Some(norm), Some(error)) = (number("norm"), number("error")) {
            let _ = write!(out, "  lacks {:.2} %", 100.0 * error / norm);
        }
        out.push('\n');
    }
    Ok(out)
}

#[derive(Args)]
pub(super) struct Apply {
    /// The model: a folder, a GGUF file or a hub id; `builtin` for the built-in model
    base: String,
    /// The adapters' folders
    #[arg(required = true, num_args = 1.., value_name = "ADAPTER")]
    adapters: Vec<String>,
    /// The folder to write
    #[arg(required = true, value_name = "OUT")]
    folder: String,
    /// What their changes are multiplied with
    #[arg(long, default_value_t = 1.0)]
    scale: f64,
    /// The type in which the matrices are held and written: f32 or bf16
    #[arg(long, default_value = "f32")]
    dtype: String,
    /// The largest size of a file, as in 2GB
    #[arg(long, default_value = "5GB")]
    shard: String,
    #[command(flatten)]
    over: Over,
}

impl Apply {
    fn run(&self, common: &Common) -> Result<()> {
        self.over.check(Path::new(&self.folder))?;
        let dtype = || Map::new().with("dtype", self.dtype.clone());
        let (engine, mut model) = load(common, &self.base, dtype())?;
        for folder in &self.adapters {
            let adapter = call(&engine, "lora.load", vec![folder.clone().into()])?;
            let info = Map::from_value(call(&engine, "Lora:info", vec![adapter.clone()])?);
            let info = info.map_err(|m| Error::runtime(m.expected))?;
            let of_model = Map::from_value(call(&engine, "Model:info", vec![model.clone()])?);
            let of_model = of_model.map_err(|m| Error::runtime(m.expected))?;
            let is_true = |map: &Map, name: &str| matches!(map.get(name), Some(Value::Bool(true)));
            if is_true(&info, "vocabulary") && is_true(&of_model, "tied") {
                model = call(&engine, "Model:untied", vec![model])?;
            }
            let options = Map::new().with("scale", self.scale);
            call(&engine, "Lora:apply", vec![adapter, model.clone(), options.into()])
                .map_err(|e| Error::runtime(format!("{folder}: {}", e.message())))?;
        }
        let options = dtype().with("shard", self.shard.clone());
        let files = call(&engine, "Model:save", vec![model, self.folder.clone().into(), options.into()])?;
        let files = Vec::<String>::from_value(files).map_err(|m| Error::runtime(m.expected))?;
        files.iter().for_each(|file| write_out(&format!("{file}\n")));
        Ok(())
    }
}

#[derive(Args)]
pub(super) struct Extract {
    /// The model before: a folder or a hub id
    #[arg(long, value_name = "MODEL")]
    base: String,
    /// The model after: a folder or a hub id
    #[arg(long, value_name = "MODEL", conflicts_with = "ticket", required_unless_present = "ticket")]
    tuned: Option<String>,
    /// Instead of a model: a ticket of the base
    #[arg(long, value_name = "FILE")]
    ticket: Option<String>,
    /// The rank of the adapter
    #[arg(long, default_value_t = 16)]
    rank: usize,
    /// The parameters: adaptable (attention and MLP matrices), or patterns of names
    #[arg(long, default_value = "adaptable", value_name = "PATTERN")]
    params: Vec<String>,
    /// The seed of the random vectors of the search
    #[arg(long, default_value_t = 0)]
    seed: i64,
    /// How many random vectors more than the rank the search starts from
    #[arg(long, default_value_t = 10)]
    oversample: usize,
    /// How many power iterations make the search exact
    #[arg(long, default_value_t = 2)]
    power: usize,
    /// How factors are written: f32, bf16 or f16
    #[arg(long, default_value = "f32")]
    dtype: String,
    /// The folder to write
    #[arg(value_name = "OUT")]
    folder: String,
    #[command(flatten)]
    over: Over,
}

impl Extract {
    fn run(&self, common: &Common) -> Result<()> {
        self.over.check(Path::new(&self.folder))?;
        let options = Map::new()
            .with("rank", self.rank)
            .with("params", self.params.clone())
            .with("seed", self.seed)
            .with("oversample", self.oversample)
            .with("power", self.power);
        let (engine, adapter) = match (&self.tuned, &self.ticket) {
            (Some(tuned), None) => {
                let engine = builder(common, Language::Lua, "", Vec::new())?.build()?;
                let values = vec![self.base.clone().into(), tuned.clone().into(), options.into()];
                let adapter = call(&engine, "lora.from", values)?;
                (engine, adapter)
            }
            (None, Some(file)) => {
                let (engine, model) = load(common, &self.base, Map::new())?;
                let expected = Map::new().with("model", model.clone());
                let ticket = call(&engine, "ticket.load", vec![file.clone().into(), expected.into()])?;
                let options = options.with("base", model);
                let adapter = call(&engine, "lora.extract", vec![ticket, options.into()])?;
                (engine, adapter)
            }
            _ => return Err(usage("give either --tuned MODEL or --ticket FILE")),
        };
        let saved = Map::new().with("dtype", self.dtype.clone()).with("base", self.base.clone());
        let values = vec![adapter.clone(), self.folder.clone().into(), saved.into()];
        call(&engine, "Lora:save", values)?;
        write_out(&described(&engine, &adapter)?);
        Ok(())
    }
}
