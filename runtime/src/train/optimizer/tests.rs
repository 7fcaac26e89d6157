//! Every optimizer against a scalar loop in f64 written from its source, on every path.

use candle_core::{DType, Device, Tensor};
use half::bf16;

use super::*;
use crate::host::Rng;
use crate::ops::SparseIndex;
use crate::ops::simd::dither_bf16;
use crate::ops::slice::WeightMut;

const STEPS: u64 = 7;

fn all() -> Vec<Optimizer> {
    vec![
        Optimizer::named("rmsprop").expect("known"),
        Optimizer::RmsProp { alpha: 0.9, eps: 1e-3, momentum: 0.8, weight_decay: 0.1 },
        Optimizer::named("adamw").expect("known"),
        Optimizer::AdamW { betas: (0.8, 0.95), eps: 1e-4, weight_decay: 0.3 },
        Optimizer::Sgd { momentum: 0.0, dampening: 0.0, nesterov: false, weight_decay: 0.2 },
        Optimizer::Sgd { momentum: 0.9, dampening: 0.3, nesterov: false, weight_decay: 0.2 },
        Optimizer::Sgd { momentum: 0.9, dampening: 0.0, nesterov: true, weight_decay: 0.0 },
        Optimizer::Lion { betas: (0.9, 0.99), weight_decay: 0.1 },
    ]
}

/// The step size of a step; it varies, as under a schedule.
fn lr(t: u64) -> f64 {
    0.01 / t as f64
}

/// The entry after all steps, from the sources' own text, in f64.
fn reference(optimizer: &Optimizer, mut w: f64, grads: &[f64]) -> f64 {
    let (mut a, mut b) = (0.0f64, 0.0f64);
    for (i, &g) in grads.iter().enumerate() {
        let t = i as u64 + 1;
        let lr = lr(t);
        match *optimizer {
            Optimizer::RmsProp { alpha, eps, momentum, weight_decay } => {
                let g = g + weight_decay * w;
                a = alpha * a + (1.0 - alpha) * g * g;
                if momentum > 0.0 {
                    b = momentum * b + g / (a.sqrt() + eps);
                    w -= lr * b;
                } else {
                    w -= lr * g / (a.sqrt() + eps);
                }
            }
            Optimizer::AdamW { betas: (b1, b2), eps, weight_decay } => {
                w -= lr * weight_decay * w;
                a = b1 * a + (1.0 - b1) * g;
                b = b2 * b + (1.0 - b2) * g * g;
                let (m, v) = (a / (1.0 - b1.powf(t as f64)), b / (1.0 - b2.powf(t as f64)));
                w -= lr * m / (v.sqrt() + eps);
            }
            Optimizer::Sgd { momentum, dampening, nesterov, weight_decay } => {
                let g = g + weight_decay * w;
                let d = if momentum > 0.0 {
                    a = if t == 1 { g } else { momentum * a + (1.0 - dampening) * g };
                    if nesterov { g + momentum * a } else { a }
                } else {
                    g
                };
                w -= lr * d;
            }
            Optimizer::Lion { betas: (b1, b2), weight_decay } => {
                let c = b1 * a + (1.0 - b1) * g;
                let sign = if c == 0.0 { 0.0 } else { c.signum() };
                w -= lr * (sign + weight_decay * w);
                a = b2 * a + (1.0 - b2) * g;
            }
        }
    }
    w
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
    fn wanted(&self, optimizer: &Optimizer, k: usize, at: usize) -> f64 {
        let grads: Vec<f64> = self.grads.iter().map(|g| 0.5 * f64::from(g[k])).collect();
        reference(optimizer, f64::from(self.w[at]), &grads)
    }

    fn now(step: u64) -> Now {
        Now { lr: lr(step + 1), t: step + 1, scale: 0.5 }
    }

    fn states(&self, optimizer: &Optimizer) -> Vec<Vec<f32>> {
        vec![vec![0.0; self.grads[0].len()]; optimizer.states()]
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

#[test]
fn whole_parameters_follow_the_formulas() {
    let case = Case::new(70_003, 70_003);
    for optimizer in all() {
        let (mut w, mut states) = (case.w.clone(), case.states(&optimizer));
        for (step, g) in case.grads.iter().enumerate() {
            let target = Target { weight: WeightMut::F32(&mut w), index: None, masters: None };
            update(&optimizer, Case::now(step as u64), target, g, &mut states);
        }
        for (k, &got) in w.iter().enumerate() {
            close(got, case.wanted(&optimizer, k, k), &optimizer);
        }
    }
}

#[test]
fn masked_entries_follow_the_formulas_and_no_other_entry_changes() {
    let (index, entries) = ragged();
    let case = Case::new(301 * 517, entries.len());
    for optimizer in all() {
        let (mut w, mut states) = (case.w.clone(), case.states(&optimizer));
        for (step, g) in case.grads.iter().enumerate() {
            let target = Target { weight: WeightMut::F32(&mut w), index: Some(&index), masters: None };
            update(&optimizer, Case::now(step as u64), target, g, &mut states);
        }
        for (k, &at) in entries.iter().enumerate() {
            close(w[at as usize], case.wanted(&optimizer, k, at as usize), &optimizer);
            w[at as usize] = case.w[at as usize];
        }
        assert!(w.iter().zip(&case.w).all(|(a, b)| a.to_bits() == b.to_bits()), "{optimizer:?}");
    }
}

#[test]
fn bf16_weights_hold_the_roundings_of_their_masters() {
    let (index, entries) = ragged();
    let mut case = Case::new(301 * 517, entries.len());
    let stored: Vec<bf16> = case.w.iter().map(|&x| bf16::from_f32(x)).collect();
    case.w = stored.iter().map(|x| x.to_f32()).collect();
    for optimizer in all() {
        let (mut w, mut states) = (stored.clone(), case.states(&optimizer));
        let mut masters: Vec<f32> = entries.iter().map(|&e| case.w[e as usize]).collect();
        for (step, g) in case.grads.iter().enumerate() {
            let (weight, masters) = (WeightMut::BF16(&mut w), Some(&mut masters[..]));
            update(
                &optimizer,
                Case::now(step as u64),
                Target { weight, index: Some(&index), masters },
                g,
                &mut states,
            );
        }
        for (k, &at) in entries.iter().enumerate() {
            close(masters[k], case.wanted(&optimizer, k, at as usize), &optimizer);
            assert_eq!(w[at as usize], dither_bf16(masters[k], at));
            w[at as usize] = stored[at as usize];
        }
        assert!(w == stored, "{optimizer:?}");
    }
}

#[test]
fn a_bf16_weight_that_was_changed_from_outside_counts_more_than_its_master() {
    let optimizer = Optimizer::Sgd { momentum: 0.0, dampening: 0.0, nesterov: false, weight_decay: 0.0 };
    let (mut w, mut masters) = ([bf16::from_f32(4.0), dither_bf16(1.001, 1)], [1.0, 1.001]);
    let target = Target { weight: WeightMut::BF16(&mut w), index: None, masters: Some(&mut masters) };
    update(&optimizer, Now { lr: 1.0, t: 1, scale: 1.0 }, target, &[0.5, 0.5], &mut []);
    assert_eq!(masters, [3.5, 1.001 - 0.5]);
}

#[test]
fn candle_operations_follow_the_same_formulas() {
    let case = Case::new(1000, 1000);
    for optimizer in all() {
        let mut w = Tensor::new(case.w.as_slice(), &Device::Cpu).expect("a tensor");
        let zeros = || Tensor::zeros(1000, DType::F32, &Device::Cpu).expect("a tensor");
        let mut states: Vec<Tensor> = (0..optimizer.states()).map(|_| zeros()).collect();
        for (step, g) in case.grads.iter().enumerate() {
            let g = Tensor::new(g.as_slice(), &Device::Cpu).expect("a tensor");
            w = updated(&optimizer, Case::now(step as u64), &w, &g, &mut states).expect("updates");
        }
        for (k, &got) in w.to_vec1::<f32>().expect("f32").iter().enumerate() {
            close(got, case.wanted(&optimizer, k, k), &optimizer);
        }
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
    for name in Optimizer::NAMES {
        assert!(cases.iter().any(|c| c.optimizer.name() == name), "{name} is not among the cases");
    }
    for Trajectory { optimizer, path } in cases {
        assert_eq!((path.len(), grads.len()), (lr.len(), lr.len()));
        let (mut w, mut states) = (start.clone(), vec![vec![0.0; count]; optimizer.states()]);
        let tensor = |values: &[f32]| Tensor::new(values, &Device::Cpu).expect("a tensor");
        let (mut slow, mut slow_states) =
            (tensor(&start), vec![tensor(&vec![0.0; count]); optimizer.states()]);
        for (step, (g, wanted)) in grads.iter().zip(&path).enumerate() {
            let now = Now { lr: lr[step], t: step as u64 + 1, scale: 1.0 };
            let target = Target { weight: WeightMut::F32(&mut w), index: None, masters: None };
            update(&optimizer, now, target, g, &mut states);
            slow = updated(&optimizer, now, &slow, &tensor(g), &mut slow_states).expect("updates");
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
    assert!(all().iter().all(|o| o.check().is_ok()));
    assert!(wrong(Optimizer::Lion { betas: (0.9, 1.0), weight_decay: 0.0 }).contains("betas[2]"));
    assert!(wrong(Optimizer::AdamW { betas: (0.9, 0.9), eps: -1.0, weight_decay: 0.0 }).contains("eps"));
    let sgd = Optimizer::Sgd { momentum: 0.0, dampening: 0.0, nesterov: true, weight_decay: 0.0 };
    assert!(wrong(sgd).contains("nesterov"));
    assert!(Optimizer::named("adam").is_err_and(|e| e.to_string().contains("adamw")));
}
