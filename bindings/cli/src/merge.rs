//! `merge`: a merge as mergekit's configuration files write it.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;
use lota::api::{FromValue, Map, ScriptFn, Value, show};
use lota::{Engine, Language};
use lota::{Error, Result};

use super::common::Common;
use super::failure::usage;
use super::model::call;
use super::output::write_out;
use super::run::builder;

#[derive(Args)]
pub(super) struct Merge {
    /// The configuration, in YAML
    config: PathBuf,
    /// The folder to write
    #[arg(value_name = "OUT", required_unless_present = "check")]
    out: Option<PathBuf>,
    /// Only say whether the models can be merged
    #[arg(long)]
    check: bool,
    /// The seed of methods that draw
    #[arg(long, alias = "random-seed", default_value_t = 0)]
    seed: i64,
    /// The largest size of a file, as in 2GB
    #[arg(long, alias = "out-shard-size", default_value = "5GB")]
    shard: String,
    /// Replace OUT if it is there already
    #[arg(long)]
    replace: bool,
    /// The folder for the results of named documents, which are then kept
    #[arg(long, short = 'I', value_name = "DIR")]
    intermediate_dir: Option<PathBuf>,
    /// Write a report of the task vectors there: FILE.md and FILE.svg; needs a base_model
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
    /// Score the base, each model and the result on tasks, for the report: built-in families, or name:path
    #[arg(long, value_name = "TASK,...", value_delimiter = ',', requires = "report")]
    tasks: Vec<String>,
    /// Test examples for each score (0: all)
    #[arg(long, value_name = "N", default_value_t = 64, requires = "tasks")]
    eval: usize,
    /// Try models of different architectures
    #[arg(long)]
    allow_crimes: bool,
    /// Cut vocabularies of different size to the shortest, as if tokens had the same ids
    #[arg(long)]
    unsafe_truncate_embeddings: bool,
}

impl Merge {
    pub(super) fn run(&self, common: &Common) -> Result<()> {
        let engine = builder(common, Language::Lua, "", Vec::new())?.build()?;
        let config = Value::from(text(&self.config)?);
        let options = Map::new()
            .with("allow_crimes", self.allow_crimes)
            .with("unsafe_truncate_embeddings", self.unsafe_truncate_embeddings);
        let Some(out) = self.out.as_ref().filter(|_| !self.check) else {
            let steps = call(&engine, "merge.check", vec![config, options.into()])?;
            for step in Vec::<Map>::from_value(steps).map_err(|m| Error::runtime(m.expected))? {
                let lines = step.iter().filter(|(name, _)| *name != "notices");
                lines.for_each(|(name, value)| write_out(&format!("{name:<8} {}\n", show(value))));
                if let Some(Value::List(notices)) = step.get("notices") {
                    notices.iter().for_each(|n| write_out(&format!("note     {}\n", show(n))));
                }
            }
            return Ok(());
        };
        let folder = text(out)?;
        let mut written =
            options.with("seed", self.seed).with("shard", self.shard.clone()).with("replace", self.replace);
        if let Some(between) = &self.intermediate_dir {
            written.set("between", text(between)?);
        }
        if let Some(report) = &self.report {
            written.set("report", text(report)?);
        }
        if !self.tasks.is_empty() {
            written.set("scores", self.judge(&engine)?);
        }
        let files = call(&engine, "merge.config", vec![config, folder.into(), written.into()])?;
        let files = Vec::<String>::from_value(files).map_err(|m| Error::runtime(m.expected))?;
        files.iter().for_each(|file| write_out(&format!("{file}\n")));
        Ok(())
    }
}

impl Merge {
    /// The function of the standard library that scores a model on the tasks.
    fn judge(&self, engine: &Engine) -> Result<Value> {
        let make = engine.run("return require('lota.tasks').judge", "merge")?;
        let make = <Arc<dyn ScriptFn>>::from_value(make).map_err(|m| Error::runtime(m.expected))?;
        let count = if self.eval == 0 { Value::Nil } else { self.eval.into() };
        make.call(&[self.tasks.clone().into(), count])
    }
}

fn text(path: &Path) -> Result<String> {
    path.to_str().map(str::to_string).ok_or_else(|| usage(format!("{} is not UTF-8 text", path.display())))
}
