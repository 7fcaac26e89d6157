//! Sums of adapters, as one adapter of the ranks together.

use std::collections::BTreeMap;

use candle_core::Tensor;
use serde_json::json;

use super::{Adapter, Config, Module};
use crate::{Error, Result};

impl Adapter {
    /// The weighted sum of the changes of several adapters, exactly: factors side by side. Adapters
    /// that replace parameters cannot be summed.
    pub fn sum(adapters: &[(&Self, f64)]) -> Result<Self> {
        let Some((first, _)) = adapters.first() else {
            return Err(Error::argument("a sum of adapters needs at least one"));
        };
        for (adapter, weight) in adapters {
            if !weight.is_finite() {
                return Err(Error::argument(format!(
                    "an adapter is summed with a finite weight, not {weight}"
                )));
            }
            if let Some(replaced) = adapter.replaced.first() {
                return Err(Error::argument(format!(
                    "an adapter that replaces {} as a whole cannot be summed with others: apply it to the model",
                    replaced.param
                )));
            }
            if adapter.config.fan_in_fan_out != first.config.fan_in_fan_out {
                return Err(Error::argument(
                    "adapters of weights stored as [in, out] and as [out, in] cannot be summed",
                ));
            }
        }

        let mut by_name: BTreeMap<&str, Vec<(&Module, f64)>> = BTreeMap::new();
        for (adapter, weight) in adapters {
            for module in &adapter.modules {
                by_name.entry(&module.name).or_default().push((module, module.scale * weight));
            }
        }
        let mut modules = Vec::with_capacity(by_name.len());
        for (name, parts) in by_name {
            let shape = parts[0].0.shape();
            if let Some((other, _)) =
                parts.iter().find(|(m, _)| m.shape() != shape || m.embedding != parts[0].0.embedding)
            {
                return Err(Error::mismatch(format!(
                    "module {name} has a weight of shape {shape:?} in one adapter and of {:?} in another",
                    other.shape()
                )));
            }
            let a: Vec<&Tensor> = parts.iter().map(|(m, _)| &m.a).collect();
            let b = parts.iter().map(|(m, scale)| Ok((&m.b * *scale)?)).collect::<Result<Vec<Tensor>>>()?;
            modules.push(Module {
                name: name.to_string(),
                a: Tensor::cat(&a, 0)?,
                b: Tensor::cat(&b, 1)?,
                scale: 1.0,
                transposed: parts[0].0.transposed,
                embedding: parts[0].0.embedding,
            });
        }
        let mut config = Config::of(&modules);
        config.base = first.config.base.clone();
        config.fan_in_fan_out = first.config.fan_in_fan_out;
        Ok(Self { config, modules, replaced: Vec::new() })
    }
}

impl Config {
    /// A configuration that gives these modules their ranks and scales; it names each of them.
    pub(super) fn of(modules: &[Module]) -> Self {
        let alpha = |m: &Module| m.scale * m.rank() as f64;
        let rank = modules.iter().map(Module::rank).max().unwrap_or(1);
        let usual = modules.iter().find(|m| m.rank() == rank).map_or(1.0, alpha);
        let exact = |m: &Module| regex::escape(&m.name);
        Self {
            rank,
            alpha: usual,
            targets: json!(modules.iter().map(|m| m.name.as_str()).collect::<Vec<_>>()),
            rank_pattern: modules.iter().filter(|m| m.rank() != rank).map(|m| (exact(m), m.rank())).collect(),
            alpha_pattern: modules
                .iter()
                .filter(|m| alpha(m) != usual)
                .map(|m| (exact(m), alpha(m)))
                .collect(),
            ..Self::default()
        }
    }
}
