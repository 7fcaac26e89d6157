//! Merging: small inputs in memory, and what the tests of each subject share.

mod adapters;
mod folders;
mod mergekit;
mod refusals;
mod resuming;
mod stacking;
mod thinning;
mod tickets;
mod values;

use std::collections::BTreeMap;
use std::sync::Arc;

use candle_core::DType;
use lota_runtime::Result;
use lota_runtime::host::{Host, Rng};
use lota_runtime::mask::Mask;
use lota_runtime::merge::{Config, Float, Info, Input, Overlay, Plan, PlanOptions, Reader, Reference};
use lota_runtime::model::{ParamSpec, Params, Role, Universe};
use lota_runtime::ops::Exec;
use lota_runtime::ticket::{Meta, Ticket};
use roaring::RoaringBitmap;
use serde_json::{Value, json};

/// Named tensors in memory.
struct Tensors {
    label: String,
    float: Float,
    all: BTreeMap<String, (Vec<usize>, Vec<f32>)>,
}

struct Slice<'a>(&'a [f32]);

impl Reader for Slice<'_> {
    fn read<'s>(&'s self, start: usize, len: usize, _: &'s mut Vec<f32>) -> Result<&'s [f32]> {
        Ok(&self.0[start..start + len])
    }
}

impl Input for Tensors {
    fn label(&self) -> &str {
        &self.label
    }
    fn names(&self) -> Vec<String> {
        self.all.keys().cloned().collect()
    }
    fn info(&self, name: &str) -> Option<Info> {
        let (shape, _) = self.all.get(name)?;
        Some(Info { shape: shape.clone(), float: Some(self.float), dtype: self.float.header().to_string() })
    }
    fn reader<'a>(&'a self, name: &str) -> Result<Box<dyn Reader + 'a>> {
        Ok(Box::new(Slice(&self.all[name].1)))
    }
}

type Inputs = Vec<Arc<dyn Input>>;

type Named = BTreeMap<String, (Vec<usize>, Vec<f32>)>;

fn input(label: &str, all: Named) -> Arc<dyn Input> {
    Arc::new(Tensors { label: label.to_string(), float: Float::F32, all })
}

/// One tensor called `w`.
fn single(label: &str, shape: &[usize], values: &[f32]) -> Arc<dyn Input> {
    input(label, BTreeMap::from([("w".to_string(), (shape.to_vec(), values.to_vec()))]))
}

fn universe(of: &dyn Input) -> Arc<Universe> {
    let spec = |name: String| {
        let shape = of.info(&name).expect("there").shape;
        ParamSpec { name, shape, role: Role::Mlp, layer: None }
    };
    Universe::new(of.names().into_iter().map(spec).collect()).expect("valid")
}

fn plan(config: &Value, inputs: &[Arc<dyn Input>]) -> Result<Plan> {
    let config = Config::read(config)?;
    let find = |reference: Reference| {
        inputs.iter().find(|i| i.label() == reference.model).expect("an input of this name").clone()
    };
    let inputs = config.references().into_iter().map(find).collect();
    Plan::new(&config, inputs, None, PlanOptions::default())
}

fn merged(config: &Value, inputs: &[Arc<dyn Input>], seed: u64) -> Result<Params> {
    let universe = universe(inputs[0].as_ref());
    plan(config, inputs)?.params(&universe, DType::F32, seed, &Exec::cpu(), &Host::default())
}

fn values(params: &Params, name: &str) -> Vec<f32> {
    crate::common::values(params.by_name(name).expect("there"))
}

fn w(config: &Value, inputs: &[Arc<dyn Input>]) -> Vec<f32> {
    values(&merged(config, inputs, 0).unwrap_or_else(|e| panic!("{e}: {config}")), "w")
}

fn refusal(config: &Value, inputs: &[Arc<dyn Input>]) -> String {
    match merged(config, inputs, 0) {
        Ok(_) => panic!("not refused: {config}"),
        Err(e) => e.to_string(),
    }
}

/// A configuration of models with the same parameters.
fn config(method: &str, base: Option<&str>, models: &[&str], each: Value, all: Value) -> Value {
    let models: Vec<Value> = models.iter().map(|m| json!({"model": m, "parameters": each})).collect();
    let mut config = json!({"merge_method": method, "models": models, "parameters": all});
    if let Some(base) = base {
        config["base_model"] = json!(base);
    }
    config
}

/// A base and three models whose task vectors hold zeros, ties and both signs.
fn four(n: usize, seed: u64) -> Vec<Arc<dyn Input>> {
    let mut rng = Rng::new(seed);
    let base: Vec<f32> = (0..n).map(|_| (rng.below(64) as f32 - 32.0) / 64.0).collect();
    let mut all = vec![single("base", &[n], &base)];
    for name in ["a", "b", "c"] {
        let tuned: Vec<f32> = base.iter().map(|b| b + (rng.below(9) as f32 - 4.0) / 128.0).collect();
        all.push(single(name, &[n], &tuned));
    }
    all
}

fn raw(input: &Arc<dyn Input>) -> Vec<f32> {
    let mut scratch = Vec::new();
    let n = input.info("w").expect("there").shape.iter().product();
    input.reader("w").expect("there").read(0, n, &mut scratch).expect("reads").to_vec()
}

/// A base and three tickets on it, whose masks share no entry or may.
fn tickets(n: usize, seed: u64, apart: bool) -> (Arc<dyn Input>, Inputs, Vec<Ticket>) {
    let mut rng = Rng::new(seed);
    let base: Vec<f32> = (0..n).map(|_| rng.normal() as f32).collect();
    let base = single("base", &[n], &base);
    let universe = universe(base.as_ref());
    let mut sets = vec![RoaringBitmap::new(); 3];
    for at in 0..n as u32 {
        if apart {
            if let Some(set) = sets.get_mut(rng.below(6) as usize) {
                set.insert(at);
            }
        } else {
            for set in &mut sets {
                if rng.below(2) == 0 {
                    set.insert(at);
                }
            }
        }
    }
    let mut inputs: Vec<Arc<dyn Input>> = Vec::new();
    let mut all = Vec::new();
    for (i, set) in sets.into_iter().enumerate() {
        let values = (0..set.len()).map(|_| rng.normal() as f32).collect();
        let mask = Mask::new(universe.clone(), vec![set]).expect("fits");
        let ticket = Ticket::new(mask, vec![values], Meta::new("base", "test")).expect("fits");
        all.push(ticket.clone());
        inputs
            .push(Arc::new(Overlay::ticket(format!("t{i}"), base.clone(), Arc::new(ticket)).expect("fits")));
    }
    (base, inputs, all)
}
