//! `bench select`: the exact choice of the largest scores of a model-sized set.

use std::sync::Arc;
use std::time::Instant;

use candle_core::{Device, Tensor};
use clap::Args;
use lota::Result;
use lota::runtime::host::{Host, Rng};
use lota::runtime::mask::{self, Budget, Scope};
use lota::runtime::model::{ParamSpec, Role, Universe};
use lota::runtime::vectors::Values;

use super::Figures;
use crate::common::Common;

#[derive(Args)]
pub(crate) struct Select {
    /// Scores, in matrices of 1536 × 576
    #[arg(long, default_value_t = 106_168_320)]
    entries: usize,
    /// The fraction that is chosen
    #[arg(long, default_value_t = 0.01)]
    density: f64,
    /// A safetensors file whose f32 tensors are the scores, instead of random ones
    #[arg(long)]
    scores: Option<std::path::PathBuf>,
    /// Times it is done, after one that is not counted
    #[arg(long, default_value_t = 5)]
    runs: usize,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

const SHAPE: [usize; 2] = [1536, 576];

impl Select {
    pub(super) fn run(&self, _: &Common) -> Result<()> {
        let tensors = self.tensors()?;
        let specs = tensors.iter().map(|(name, tensor)| ParamSpec {
            name: name.clone(),
            shape: tensor.dims().to_vec(),
            role: Role::Mlp,
            layer: None,
        });
        let universe: Arc<Universe> = Universe::new(specs.collect())?;
        let mut tensors = tensors.into_iter().map(|(_, tensor)| tensor);
        let scores = Values::from_fn(universe, |_, _| Ok(tensors.next()))?;
        let loaded = super::resident("VmRSS");
        let (mut seconds, mut chosen) = (Vec::new(), 0);
        for i in 0..=self.runs.max(1) {
            let start = Instant::now();
            let budget = Budget::Density(self.density);
            let mask = mask::top(&scores, budget, Scope::Global, None, None, true, &Host::default())?;
            if i > 0 {
                seconds.push(start.elapsed().as_secs_f64());
            }
            chosen = mask.count();
        }
        let mut figures = Figures::new("select").with("chosen", chosen).seconds(seconds).peak();
        if let Some(loaded) = loaded {
            figures = figures.with("loaded_mib", loaded);
        }
        figures.print(self.json);
        Ok(())
    }

    /// The scores by name.
    fn tensors(&self) -> Result<Vec<(String, Tensor)>> {
        if let Some(path) = &self.scores {
            let found = candle_core::safetensors::load(path, &Device::Cpu)
                .map_err(|e| lota::Error::runtime(format!("{}: {e}", path.display())))?;
            let mut found: Vec<_> = found.into_iter().collect();
            found.sort_by(|a, b| a.0.cmp(&b.0));
            return Ok(found);
        }
        let mut rng = Rng::new(1);
        let size = SHAPE[0] * SHAPE[1];
        (0..self.entries.div_ceil(size))
            .map(|i| {
                let values: Vec<f32> = (0..size).map(|_| rng.normal() as f32 * 1e-4).collect();
                let tensor =
                    Tensor::from_vec(values, &SHAPE, &Device::Cpu).map_err(lota::runtime::Error::from)?;
                Ok((format!("scores.{i}"), tensor))
            })
            .collect()
    }
}
