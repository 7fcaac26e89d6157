//! Adapters as factors of a model that can be trained, and back.

use candle_core::{DType, Device};

use super::extract::targets;
use super::{Adapter, Config, Module};
use crate::mask::glob_matches;
use crate::model::decoder::{Attached, Factored};
use crate::model::{Model, Role};
use crate::{Error, Result};

/// What new factors are.
#[derive(Clone, Debug)]
pub struct Shape {
    /// The rank.
    pub rank: usize,
    /// The numerator of the scale.
    pub alpha: f64,
    /// Scale by alpha / sqrt(rank) instead of alpha / rank (arXiv 2312.03732).
    pub rslora: bool,
}

/// The modules of a model that names choose, each a factor pair of `shape`. A name is a whole module, the end of one after
/// a dot (`q_proj`), or a pattern of either (`*_proj`); `all-linear` and `adaptable` are the linear layers of all blocks.
pub fn modules<S: AsRef<str>>(model: &Model, names: &[S], shape: &Shape) -> Result<Vec<Factored>> {
    if shape.rank == 0 {
        return Err(Error::argument("the rank of factors is at least 1"));
    }
    if !(shape.alpha > 0.0 && shape.alpha.is_finite()) {
        return Err(Error::argument(format!("alpha must be a finite number above 0, not {}", shape.alpha)));
    }
    let by = if shape.rslora { (shape.rank as f64).sqrt() } else { shape.rank as f64 };
    let scale = shape.alpha / by;
    let specs = model.params.universe().specs();
    let matrices = specs.iter().filter(|s| s.shape.len() == 2 && s.role != Role::Lora);
    let mut all: Vec<(&str, bool)> =
        matrices.filter_map(|s| Some((s.name.strip_suffix(".weight")?, s.adaptable()))).collect();
    if model.config.tied {
        all.push(("lm_head", false));
    }
    let mut chosen = vec![false; all.len()];
    for name in names.iter().map(AsRef::as_ref) {
        let mut any = false;
        for ((module, adaptable), chosen) in all.iter().zip(&mut chosen) {
            let end = module.rsplit('.').next().unwrap_or(module);
            let hit = match name {
                "all-linear" | "adaptable" => *adaptable,
                _ => {
                    glob_matches(name, module)
                        || glob_matches(name, end)
                        || module.strip_suffix(name).is_some_and(|rest| rest.ends_with('.'))
                }
            };
            *chosen |= hit;
            any |= hit;
        }
        if !any {
            let mut ends: Vec<&str> = all.iter().map(|(m, _)| m.rsplit('.').next().unwrap_or(m)).collect();
            ends.sort_unstable();
            ends.dedup();
            return Err(Error::argument(format!(
                "no module with a matrix is called {name:?}: use \"all-linear\", a pattern, or one of {}",
                ends.join(", ")
            )));
        }
    }
    let named = all.iter().zip(&chosen).filter(|(_, chosen)| **chosen);
    Ok(named.map(|((m, _), _)| Factored { module: (*m).to_string(), rank: shape.rank, scale }).collect())
}

impl Adapter {
    /// The model with this adapter's factors beside its weights, which both models share. `dropout` and `seed` are as in
    /// [`Attached`].
    pub fn attach(&self, model: &Model, dropout: f64, seed: u64) -> Result<Model> {
        if let Some(replaced) = self.replaced.first() {
            return Err(Error::argument(format!(
                "the adapter replaces {} as a whole, which is no change of low rank: apply it to the model instead",
                replaced.param
            )));
        }
        if let Some(module) = self.modules.iter().find(|m| m.transposed && !m.embedding) {
            return Err(Error::argument(format!(
                "the adapter is of weights stored as [in, out] (module {}): apply it to the model instead",
                module.name
            )));
        }
        let universe = model.params.universe();
        self.fits(|name| {
            let tied = name == "lm_head.weight" && model.config.tied;
            let name = if tied { "model.embed_tokens.weight" } else { name };
            Ok(universe.spec(universe.get(name)?).shape.clone())
        })?;
        let of = |m: &Module| Factored { module: m.name.clone(), rank: m.rank(), scale: m.scale };
        let attached = Attached { modules: self.modules.iter().map(of).collect(), dropout, seed };
        model.attach_with(attached, |factored, _, _, second| {
            let module = self.modules.iter().find(|m| m.name == factored.module);
            let module =
                module.ok_or_else(|| Error::mismatch(format!("no factors of {}", factored.module)))?;
            Ok(if second { module.b.copy()? } else { module.a.copy()? })
        })
    }

    /// The factors of a model as an adapter of its base; an error if it has none.
    pub fn of(model: &Model) -> Result<Self> {
        let attached = model.decoder.attached().ok_or_else(|| {
            Error::argument("the model has no factors of low rank: lora.attach makes a model that has")
        })?;
        let one = |factored: &Factored| -> Result<Module> {
            let [a, b] = factored.names();
            let read = |name: &str| -> Result<candle_core::Tensor> {
                Ok(model.params.by_name(name)?.to_dtype(DType::F32)?.to_device(&Device::Cpu)?.copy()?)
            };
            Ok(Module {
                name: factored.module.clone(),
                a: read(&a)?,
                b: read(&b)?,
                scale: factored.scale,
                transposed: factored.embedding(),
                embedding: factored.embedding(),
            })
        };
        let mut modules = attached.modules.iter().map(one).collect::<Result<Vec<_>>>()?;
        modules.sort_by(|a, b| a.name.cmp(&b.name));
        let mut config = Config::of(&modules);
        config.targets = serde_json::json!(targets(model.params.universe(), &modules));
        config.base = Some(model.source.clone());
        Ok(Self { config, modules, replaced: Vec::new() })
    }
}

/// A model without factors whose weights are those of `model` and its factors together, rounded once to the type of each
/// weight. Nothing is shared. Where the head is the embedding and one of the two has factors, they become two weights.
pub fn merged(model: &Model) -> Result<Model> {
    let adapter = Adapter::of(model)?;
    let vocabulary = adapter.modules.iter().any(|m| m.embedding || m.name == "lm_head");
    let plain = model.plain_copy(vocabulary && model.config.tied)?;
    adapter.apply(&plain.exec, &plain.params, 1.0)?;
    Ok(plain)
}
