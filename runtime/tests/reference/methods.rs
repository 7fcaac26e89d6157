//! Methods of continual learning on SmolLM2-135M against values made with PyTorch: gradient projection (A-GEM, PCGrad) and
//! elastic weight consolidation. The tolerances are those that the reference states.

use std::sync::Arc;

use candle_core::{DType, Tensor};
use lota_runtime::data::{Batch, Padded};
use lota_runtime::host::Host;
use lota_runtime::model::decoder::{Checkpoint, CrossEntropy};
use lota_runtime::model::{LoadOptions, Model, load};
use lota_runtime::train::{Penalty, RmsProp, Selection, Sgd, Strength, TrainOptions, Trainer, fisher};
use lota_runtime::vectors::Values;
use serde_json::Value;

use crate::common::exec;
use crate::data::{Need, whole_trajectories};

pub struct Setup {
    pub model: Model,
    pub gsm8k: Vec<Batch>,
    arc: Vec<Batch>,
}

pub fn setup() -> Setup {
    let oracles = Need::Shared.path().join("oracles");
    let options = LoadOptions { dtype: DType::F32, exec: exec(), ..LoadOptions::default() };
    let model = load(&Need::SmolLm2.path().to_string_lossy(), &options, &Host::default()).expect("loads");
    let read = |name: &str| Padded::read(&oracles.join(name)).and_then(|p| p.batches()).expect("reads");
    let (gsm8k, arc) = (read("batches_gsm8k.safetensors"), read("methods/batches_arc_first8.safetensors"));
    Setup { model, gsm8k, arc }
}

fn reference(name: &str) -> Value {
    let path = Need::Shared.path().join("oracles/methods").join(name);
    serde_json::from_str(&std::fs::read_to_string(path).expect("reads")).expect("is JSON")
}

fn number(value: &Value) -> f64 {
    value.as_f64().expect("a number")
}

#[track_caller]
fn near(what: &str, ours: f64, wanted: f64, allowed: f64) {
    assert!((ours - wanted).abs() <= allowed, "{what}: {ours} is not {wanted} within {allowed}");
}

fn all(model: &Model) -> Selection {
    Selection::dense(model.params.universe().clone(), |_| true).expect("not empty")
}

fn loss(model: &Model, batch: &Batch) -> f64 {
    let (exec, params) = (&model.exec, &model.params);
    let found = model.decoder.loss(exec, &Host::default(), params, batch, &mut CrossEntropy::default());
    found.expect("a loss").loss
}

/// `g - (<g, r> / <r, r>) r` where the product is negative, else `g`: of all parameters as one vector, or of each.
fn projected(g: &Values, r: &Values, whole: bool) -> Values {
    let (dot, square) = (g.dot(r).expect("alike"), r.dot(r).expect("alike"));
    g.zip(r, |_, g, r| {
        let own = |a: &Tensor, b: &Tensor| -> lota_runtime::Result<f64> {
            Ok((a * b)?.to_dtype(DType::F64)?.sum_all()?.to_scalar::<f64>()?)
        };
        let (dot, square) = if whole { (dot, square) } else { (own(g, r)?, own(r, r)?) };
        Ok(if dot < 0.0 { (g - (r * (dot / square))?)? } else { g.clone() })
    })
    .expect("alike")
}

pub fn projects_gradients_as_the_reference() {
    let setup = setup();
    let model = &setup.model;
    let host = Host::default();
    let sgd = || Sgd { momentum: 0.0, ..Sgd::default() }.into();
    let mut trainer = Trainer::new(model.into(), all(model), TrainOptions::new(sgd(), 1.0)).expect("fits");
    let mut gradients = |batch: &Batch| {
        trainer.gradients(model.into(), &host, std::slice::from_ref(batch), None).expect("gradients")
    };
    let (new, old) = (gradients(&setup.arc[0]), gradients(&setup.gsm8k[0]));
    let start = trainer.values(model.into()).expect("values");
    for (file, ascending) in [("project.json", false), ("project_conflict.json", true)] {
        let wanted = reference(file);
        let g = if ascending { new.map(|_, g| Ok(g.neg()?)).expect("maps") } else { new.clone() };
        near("new loss", loss(model, &setup.arc[0]), number(&wanted["new_loss"]), 1e-4);
        near("old loss", loss(model, &setup.gsm8k[0]), number(&wanted["old_loss"]), 1e-4);
        let dot = number(&wanted["dot"]);
        near("dot", g.dot(&old).expect("alike"), dot, 1e-3 * dot.abs());
        for (name, values) in [("new_norm", &g), ("old_norm", &old)] {
            let norm = number(&wanted[name]);
            near(name, values.figures().expect("figures").norm(), norm, 5e-4 * norm);
        }
        let dots = wanted["dots"].as_object().expect("a map");
        let largest = dots.values().map(|d| number(d).abs()).fold(0.0, f64::max);
        for (i, spec, part) in g.present() {
            let (a, b) = (part.tensor(), old.part(i).expect("alike").tensor());
            let own =
                (a * b).and_then(|p| p.to_dtype(DType::F64)?.sum_all()?.to_scalar::<f64>()).expect("sums");
            near(&spec.name, own, number(&dots[&spec.name]), 1e-3 * largest);
            for (name, values) in [("new_norms", &g), ("old_norms", &old)] {
                let norm = number(&wanted[name][&spec.name]);
                let ours = values.figures_of(i).expect("figures").expect("alike").norm();
                near(&format!("{name} of {}", spec.name), ours, norm, 5e-4 * norm + 1e-6);
            }
        }
        let lr = number(&wanted["sgd_lr"]);
        for way in ["plain", "whole", "per_parameter"] {
            let g = match way {
                "plain" => g.clone(),
                way => projected(&g, &old, way == "whole"),
            };
            let after = &wanted["after_one_step"][way];
            let norm = number(&after["norm"]);
            near(way, g.figures().expect("figures").norm(), norm, 5e-4 * norm);
            let dot = number(&after["dot_with_old"]);
            near(&format!("{way} with old"), g.dot(&old).expect("alike"), dot, 1e-3 * dot.abs().max(1.0));
            trainer.set_lr(lr, None).expect("a rate");
            trainer.update(model.into(), &host, &g).expect("a step");
            near(&format!("new loss, {way}"), loss(model, &setup.arc[0]), number(&after["new_loss"]), 1e-4);
            near(&format!("old loss, {way}"), loss(model, &setup.gsm8k[0]), number(&after["old_loss"]), 1e-4);
            trainer.set_values(model.into(), &start).expect("goes back");
        }
    }
}

pub fn consolidates_weights_as_the_reference() {
    let setup = setup();
    let (model, host) = (&setup.model, Host::default());
    let wanted = reference("ewc.json");
    let rmsprop = || RmsProp { alpha: 0.99, eps: 1e-8, momentum: 0.0, weight_decay: 0.0 }.into();

    let likelihoods = wanted["log_likelihoods"].as_array().expect("a list");
    let rows: Vec<Batch> = setup.gsm8k[..4].iter().flat_map(Batch::each).collect();
    assert_eq!(rows.len(), likelihoods.len());
    for (row, likelihood) in rows.iter().zip(likelihoods) {
        near("log-likelihood", -loss(model, row) * row.labelled() as f64, number(likelihood), 0.02);
    }
    let fisher = fisher(model.into(), &host, &setup.gsm8k[..4], &|_| true, Checkpoint::None);
    let fisher = fisher.expect("gathers");
    let total = number(&wanted["fisher_total"]);
    near("Fisher in all", fisher.figures().expect("figures").sum, total, 2e-4 * total);
    for (i, spec, part) in fisher.present() {
        let figures = fisher.figures_of(i).expect("figures").expect("there");
        let of = &wanted["fisher"][&spec.name];
        for (name, ours) in [("sum", figures.sum), ("norm", figures.norm())] {
            let value = number(&of[name]);
            near(&format!("{name} of Fisher in {}", spec.name), ours, value, 2e-3 * value);
        }
        let flat = part.tensor().flatten_all().and_then(|t| t.to_vec1::<f32>()).expect("numbers");
        let samples = &wanted["fisher_samples"][&spec.name];
        let places = samples["index"].as_array().expect("a list").iter();
        for (at, value) in places.zip(samples["value"].as_array().expect("a list")) {
            let (at, value) = (at.as_u64().expect("a place") as usize, number(value));
            let allowed = (1e-2 * value).max(1e-6 * figures.norm());
            near(&format!("Fisher of {} at {at}", spec.name), f64::from(flat[at]), value, allowed);
        }
    }

    let lambda = number(&wanted["lambda"]);
    let weight = fisher.map(|_, f| Ok((f * lambda)?)).expect("maps");
    drop(fisher);
    let start = Trainer::new(model.into(), all(model), TrainOptions::new(rmsprop(), 1e-5))
        .and_then(|t| t.values(model.into()))
        .expect("values");
    let penalty = Penalty { anchor: Arc::new(start), weight: Strength::Each(Arc::new(weight)) };
    let options = TrainOptions { penalty: Some(penalty), ..TrainOptions::new(rmsprop(), 1e-5) };
    let mut trainer = Trainer::new(model.into(), all(model), options).expect("fits");
    let steps = if whole_trajectories() { 8 } else { 3 };
    for (i, batch) in setup.arc.iter().enumerate().take(steps) {
        let step = trainer.step(model.into(), &host, std::slice::from_ref(batch)).expect("a step");
        let (task, pull) = (number(&wanted["task_losses"][i]), number(&wanted["penalties"][i]));
        let ours = step.penalty.expect("there is one");
        eprintln!("step {i}: loss {:.6} ({task:.6}), penalty {ours:.6} ({pull:.6})", step.loss);
        near(&format!("loss of step {i}"), step.loss, task, 1e-4);
        near(&format!("penalty of step {i}"), ours, pull, 1e-3 * pull);
        near(
            &format!("both in step {i}"),
            step.loss + ours,
            number(&wanted["losses"][i]),
            2e-4 + 1e-3 * pull,
        );
    }
    if steps == 8 {
        let wanted = number(&wanted["gsm8k_batch_0_loss_at_the_end"]);
        near("GSM8K at the end", loss(model, &setup.gsm8k[0]), wanted, 1e-4);
    }
}
