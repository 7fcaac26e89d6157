//! Every optimizer against a scalar loop in f64 written from its source, on every path.

use candle_core::{DType, Device, Tensor};
use half::bf16;

use super::*;
use crate::host::Rng;
use crate::ops::SparseIndex;
use crate::ops::simd::dither_bf16;
use crate::ops::slice::WeightMut;

const STEPS: u64 = 7;

/// The step size of a step; it varies, as under a schedule.
fn lr(t: u64) -> f64 {
    0.01 / t as f64
}

/// A formula in f64, from the text of its source: changes an entry and its state, given its gradient, the step size and
/// the number of the step.
pub(super) trait Formula: Fn(&mut f64, f64, &mut [f64; 2], f64, f64) {}

impl<F: Fn(&mut f64, f64, &mut [f64; 2], f64, f64)> Formula for F {}

/// Every path of an optimizer against its formula.
pub(super) fn follows(optimizer: impl Into<Optimizer>, formula: impl Formula) {
    let optimizer = optimizer.into();
    optimizer.check().expect("settings in range");
    whole_parameters(&optimizer, &formula);
    masked_entries(&optimizer, &formula);
    bf16_weights(&optimizer, &formula);
    candle_operations(&optimizer, &formula);
}

struct Case {
    w: Vec<f32>,
    grads: Vec<Vec<f32>>,
}

impl Case {
    fn new(weights: usize, entries: usize) -> Self {
        let mut rng = Rng::new(5);
        let mut some = |n: usize, zeros: u64| -> Vec<f32> {
            (0..n).map(|_| if rng.below(10) < zeros { 0.0 } else { rng.normal() as f32 }).collect()
        };
        Self { w: some(weights, 0), grads: (0..STEPS).map(|_| some(entries, 1)).collect() }
    }

    /// What entry `k`, whose weight is at `at`, must become.
    fn wanted(&self, formula: &impl Formula, k: usize, at: usize) -> f64 {
        let (mut w, mut state) = (f64::from(self.w[at]), [0.0; 2]);
        for (t, g) in (1..).zip(&self.grads) {
            formula(&mut w, 0.5 * f64::from(g[k]), &mut state, lr(t), t as f64);
        }
        w
    }

    fn now(step: u64) -> Now {
        Now { lr: lr(step + 1), t: step + 1, scale: 0.5 }
    }

    fn states(&self, optimizer: &Optimizer) -> Vec<Vec<f32>> {
        vec![vec![0.0; self.grads[0].len()]; optimizer.states().len()]
    }
}

fn close(got: f32, want: f64, optimizer: &Optimizer) {
    let error = (f64::from(got) - want).abs();
    assert!(error < 2e-6 * want.abs().max(1.0), "{optimizer:?}: {got} is not {want}");
}

/// Rows of uneven length, empty ones among them, more entries than one piece holds.
fn ragged() -> (SparseIndex, Vec<u32>) {
    let (rows, cols) = (301u32, 517u32);
    let mut rng = Rng::new(9);
    let entries: Vec<u32> = (0..rows * cols).filter(|e| rng.below(7) < u64::from(e / cols % 7)).collect();
    (SparseIndex::from_sorted(301, 517, entries.iter().copied()).expect("rises"), entries)
}

fn whole_parameters(optimizer: &Optimizer, formula: &impl Formula) {
    let case = Case::new(70_003, 70_003);
    let (mut w, mut states) = (case.w.clone(), case.states(optimizer));
    for (step, g) in case.grads.iter().enumerate() {
        let target = Target { weight: WeightMut::F32(&mut w), index: None, masters: None };
        optimizer.update(Case::now(step as u64), target, g, &mut states);
    }
    for (k, &got) in w.iter().enumerate() {
        close(got, case.wanted(formula, k, k), optimizer);
    }
}

fn masked_entries(optimizer: &Optimizer, formula: &impl Formula) {
    let (index, entries) = ragged();
    let case = Case::new(301 * 517, entries.len());
    let (mut w, mut states) = (case.w.clone(), case.states(optimizer));
    for (step, g) in case.grads.iter().enumerate() {
        let target = Target { weight: WeightMut::F32(&mut w), index: Some(&index), masters: None };
        optimizer.update(Case::now(step as u64), target, g, &mut states);
    }
    for (k, &at) in entries.iter().enumerate() {
        close(w[at as usize], case.wanted(formula, k, at as usize), optimizer);
        w[at as usize] = case.w[at as usize];
    }
    assert!(w.iter().zip(&case.w).all(|(a, b)| a.to_bits() == b.to_bits()), "{optimizer:?}");
}

fn bf16_weights(optimizer: &Optimizer, formula: &impl Formula) {
    let (index, entries) = ragged();
    let mut case = Case::new(301 * 517, entries.len());
    let stored: Vec<bf16> = case.w.iter().map(|&x| bf16::from_f32(x)).collect();
    case.w = stored.iter().map(|x| x.to_f32()).collect();
    let (mut w, mut states) = (stored.clone(), case.states(optimizer));
    let mut masters: Vec<f32> = entries.iter().map(|&e| case.w[e as usize]).collect();
    for (step, g) in case.grads.iter().enumerate() {
        let (weight, masters) = (WeightMut::BF16(&mut w), Some(&mut masters[..]));
        optimizer.update(
            Case::now(step as u64),
            Target { weight, index: Some(&index), masters },
            g,
            &mut states,
        );
    }
    for (k, &at) in entries.iter().enumerate() {
        close(masters[k], case.wanted(formula, k, at as usize), optimizer);
        assert_eq!(w[at as usize], dither_bf16(masters[k], at));
        w[at as usize] = stored[at as usize];
    }
    assert!(w == stored, "{optimizer:?}");
}

#[test]
fn a_bf16_weight_that_was_changed_from_outside_counts_more_than_its_master() {
    let optimizer = Optimizer::from(Sgd { momentum: 0.0, ..Sgd::default() });
    let (mut w, mut masters) = ([bf16::from_f32(4.0), dither_bf16(1.001, 1)], [1.0, 1.001]);
    let target = Target { weight: WeightMut::BF16(&mut w), index: None, masters: Some(&mut masters) };
    optimizer.update(Now { lr: 1.0, t: 1, scale: 1.0 }, target, &[0.5, 0.5], &mut []);
    assert_eq!(masters, [3.5, 1.001 - 0.5]);
}

fn candle_operations(optimizer: &Optimizer, formula: &impl Formula) {
    let case = Case::new(1000, 1000);
    let mut w = Tensor::new(case.w.as_slice(), &Device::Cpu).expect("a tensor");
    let zeros = || Tensor::zeros(1000, DType::F32, &Device::Cpu).expect("a tensor");
    let mut states: Vec<Tensor> = (0..optimizer.states().len()).map(|_| zeros()).collect();
    for (step, g) in case.grads.iter().enumerate() {
        let g = Tensor::new(g.as_slice(), &Device::Cpu).expect("a tensor");
        w = optimizer.updated(Case::now(step as u64), &w, &g, &mut states).expect("updates");
    }
    for (k, &got) in w.to_vec1::<f32>().expect("f32").iter().enumerate() {
        close(got, case.wanted(formula, k, k), optimizer);
    }
}

/// Trajectories of torch.optim and of Lion's paper; `tests/fixtures/make_optimizers.py` makes them.
#[derive(serde::Deserialize)]
struct Trajectories {
    w: Vec<f32>,
    grads: Vec<Vec<f32>>,
    lr: Vec<f64>,
    cases: Vec<Trajectory>,
}

#[derive(serde::Deserialize)]
struct Trajectory {
    optimizer: Optimizer,
    path: Vec<Vec<f64>>,
}

#[test]
fn trajectories_are_those_of_torch() {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/optimizers.json");
    let text = std::fs::read_to_string(file).expect("the fixture is there");
    let Trajectories { w: start, grads, lr, cases } = serde_json::from_str(&text).expect("is JSON");
    let count = start.len();
    for name in Optimizer::names() {
        assert!(cases.iter().any(|c| c.optimizer.name() == name), "{name} is not among the cases");
    }
    for Trajectory { optimizer, path } in cases {
        assert_eq!((path.len(), grads.len()), (lr.len(), lr.len()));
        let (mut w, mut states) = (start.clone(), vec![vec![0.0; count]; optimizer.states().len()]);
        let tensor = |values: &[f32]| Tensor::new(values, &Device::Cpu).expect("a tensor");
        let (mut slow, mut slow_states) =
            (tensor(&start), vec![tensor(&vec![0.0; count]); optimizer.states().len()]);
        for (step, (g, wanted)) in grads.iter().zip(&path).enumerate() {
            let now = Now { lr: lr[step], t: step as u64 + 1, scale: 1.0 };
            let target = Target { weight: WeightMut::F32(&mut w), index: None, masters: None };
            optimizer.update(now, target, g, &mut states);
            slow = optimizer.updated(now, &slow, &tensor(g), &mut slow_states).expect("updates");
            let reference = slow.to_vec1::<f32>().expect("f32");
            for (k, &wanted) in wanted.iter().enumerate() {
                close(w[k], wanted, &optimizer);
                close(reference[k], wanted, &optimizer);
            }
        }
    }
}

#[test]
fn settings_out_of_range_are_named() {
    let wrong = |optimizer: Optimizer| optimizer.check().expect_err("is wrong").to_string();
    assert!(wrong(Lion { betas: [0.9, 1.0], weight_decay: 0.0 }.into()).contains("the second of betas"));
    assert!(wrong(AdamW { eps: -1.0, ..AdamW::default() }.into()).contains("eps"));
    assert!(wrong(RmsProp { alpha: f64::NAN, ..RmsProp::default() }.into()).contains("alpha"));
    assert!(Optimizer::named("adam").is_err_and(|e| e.to_string().contains("adamw")));
}

#[test]
fn settings_of_another_optimizer_and_of_another_type_are_refused_by_name() {
    let with = |name: &str, json: serde_json::Value| {
        let serde_json::Value::Object(map) = json else { panic!("a map") };
        Optimizer::with(name, map).expect_err("is wrong").to_string()
    };
    let text = with("adamw", serde_json::json!({"dampening": 0.1}));
    assert_eq!(text, "'dampening' does not belong to adamw, which has betas, eps, weight_decay");
    assert!(with("lion", serde_json::json!({"betas": [0.9]})).contains("lion: "));
    assert!(with("sgd", serde_json::json!({"nesterov": true, "dampening": 0.5})).contains("nesterov"));
}

/// What a file says of an optimizer is what it was, whatever its settings; the documentation names every setting.
#[test]
fn each_optimizer_is_documented_and_survives_a_file() {
    for name in Optimizer::names() {
        let optimizer = Optimizer::named(name).expect("known");
        let json = serde_json::to_value(&optimizer).expect("JSON");
        let settings = optimizer.settings();
        let mut fields: Vec<&str> = settings.iter().map(|s| s.name).chain(["name"]).collect();
        fields.sort_unstable();
        let mut keys: Vec<&String> = json.as_object().expect("a map").keys().collect();
        keys.sort_unstable();
        assert_eq!(keys, fields, "{name}");
        assert!(settings.iter().all(|s| !s.doc.is_empty() && !s.value.is_null()), "{name}");
        assert_eq!(serde_json::from_value::<Optimizer>(json).expect("reads"), optimizer);
    }
    let (a, b) = (Sgd::default(), Sgd { dampening: 0.1, ..Sgd::default() });
    assert_ne!(Optimizer::from(a), Optimizer::from(b));
}
