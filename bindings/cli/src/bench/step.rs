//! `bench step`: seconds of a training step and the peak of memory.

use std::path::PathBuf;

use clap::Args;
use lota::Result;
use lota::runtime::data::{Batch, Padded};
use lota::runtime::host::{Host, Rng};
use lota::runtime::lora::{self, Shape};
use lota::runtime::mask::{self, Budget, Mask, Scope};
use lota::runtime::model::decoder::Attached;
use lota::runtime::model::{Init, Model, ParamSpec, Role};
use lota::runtime::train::{Optimizer, Selection, TrainOptions, Trainer};

use super::Figures;
use super::work::Work;
use crate::common::Common;
use crate::failure::usage;

#[derive(Args)]
pub(crate) struct Step {
    /// A folder, a GGUF file, a hub id, or a config.json, which gets random weights
    model: String,
    /// The fraction of attention and MLP entries that are trained, at random; `full` trains every weight
    #[arg(long, default_value = "0.01")]
    density: String,
    /// Train factors of this rank beside all linear layers of the blocks instead, with alpha twice the rank
    #[arg(long, conflicts_with = "density")]
    lora: Option<usize>,
    /// What the backward keeps of the forward: none (all of it) or block (recompute)
    #[arg(long, default_value = "none")]
    checkpoint: String,
    /// Keep frozen matrices packed from step to step
    #[arg(long)]
    keep_packed: bool,
    /// Update each block as soon as its gradients are there
    #[arg(long)]
    per_block: bool,
    /// The optimizer
    #[arg(long, default_value = "rmsprop")]
    optimizer: String,
    /// The learning rate
    #[arg(long, default_value_t = 1e-5)]
    lr: f64,
    /// A safetensors file of input_ids, labels and attention_mask, instead of random tokens
    #[arg(long)]
    batch: Option<PathBuf>,
    #[command(flatten)]
    work: Work,
}

impl Step {
    pub(super) fn run(&self, common: &Common) -> Result<()> {
        let model = self.adapted(super::load(common, &self.model, &self.work.dtype)?)?;
        let selection = self.selection(&model)?;
        let entries = selection.entries();
        let batches = self.batches(&model)?;
        let loaded = super::resident("VmRSS");
        let options = TrainOptions {
            checkpoint: self.checkpoint.parse()?,
            keep_packed: self.keep_packed,
            per_block: self.per_block,
            ..TrainOptions::new(Optimizer::named(&self.optimizer)?, self.lr)
        };
        let mut trainer = Trainer::new((&model).into(), selection, options)?;
        let (mut seconds, mut losses) = (Vec::new(), Vec::new());
        for i in self.work.rounds() {
            let batch = std::slice::from_ref(&batches[i % batches.len()]);
            let report = trainer.step((&model).into(), &Host::default(), batch)?;
            losses.push(report.loss);
            if i > 0 {
                seconds.push(report.seconds);
            }
        }
        let mut figures = Figures::new("step")
            .with("density", self.density.as_str())
            .with("lora", self.lora)
            .with("dtype", self.work.dtype.as_str())
            .with("compute", common.compute.as_str())
            .with("checkpoint", self.checkpoint.as_str())
            .with("keep_packed", self.keep_packed)
            .with("per_block", self.per_block)
            .with("entries", entries)
            .with("tokens", batches[0].len())
            .with("labelled", batches[0].labelled())
            .seconds(seconds)
            .with("loss", losses[losses.len() - 1])
            .peak();
        if let Some(loaded) = loaded {
            figures = figures.with("loaded_mib", loaded);
        }
        if self.work.json {
            figures = figures.with("losses", losses);
        }
        figures.print(self.work.json);
        Ok(())
    }

    /// The model, with factors if they are asked for.
    fn adapted(&self, model: Model) -> Result<Model> {
        let Some(rank) = self.lora else { return Ok(model) };
        let shape = Shape { rank, alpha: 2.0 * rank as f64, rslora: false };
        let modules = lora::modules(&model, &["all-linear"], &shape)?;
        Ok(model.attach(Attached { modules, dropout: 0.0, seed: 0 }, Init::Kaiming, 0)?)
    }

    fn selection(&self, model: &Model) -> Result<Selection> {
        if self.lora.is_some() {
            let universe = model.params.universe().clone();
            return Ok(Selection::dense(universe, |spec: &ParamSpec| spec.role == Role::Lora)?);
        }
        let universe = model.params.universe().clone();
        if self.density == "full" {
            return Ok(Selection::dense(universe, |_| true)?);
        }
        let density: f64 = self
            .density
            .parse()
            .map_err(|_| usage(format!("--density must be a number or full, not {}", self.density)))?;
        let all = Mask::of_params(universe, ParamSpec::adaptable);
        let budget = Budget::Density(density);
        let host = Host::default();
        let mask = mask::random(&all, None, budget, Scope::Global, &mut Rng::new(1), &host)?;
        Ok(Selection::masked(&mask)?)
    }

    fn batches(&self, model: &Model) -> Result<Vec<Batch>> {
        if let Some(path) = &self.batch {
            return Ok(Padded::read(path)?.batches()?);
        }
        Ok(vec![self.work.batch(model.config.vocab_size)])
    }
}
