//! Task vectors of which only some entries stay: by magnitude, and by chance.

use std::sync::Arc;

use candle_core::{DType, Device};
use lota_runtime::host::{Host, Rng};
use lota_runtime::merge::Input;
use lota_runtime::ops::Exec;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::{config, four, plan, raw, refusal, single, universe, w};
use crate::common::bits;

/// TIES written down directly: sorted, one entry after the other.
fn plain_ties(inputs: &[Arc<dyn Input>], density: f64) -> Vec<f32> {
    let base = raw(&inputs[0]);
    let n = base.len();
    let k = ((density * n as f64) as usize).max(1).min(n);
    let mut trimmed = Vec::new();
    for input in &inputs[1..] {
        let delta: Vec<f32> = raw(input).iter().zip(&base).map(|(a, b)| a - b).collect();
        let mut order: Vec<usize> = (0..n).collect();
        order.sort_by(|i, j| delta[*j].abs().total_cmp(&delta[*i].abs()).then(i.cmp(j)));
        let mut kept = vec![0.0; n];
        order[..k].iter().for_each(|&i| kept[i] = delta[i]);
        trimmed.push(kept);
    }
    (0..n)
        .map(|i| {
            let sum: f32 = trimmed.iter().map(|t| t[i]).sum();
            let agreeing: Vec<f32> = trimmed
                .iter()
                .map(|t| t[i])
                .filter(|v| if sum >= 0.0 { *v > 0.0 } else { *v < 0.0 })
                .collect();
            base[i] + agreeing.iter().sum::<f32>() / agreeing.len().max(1) as f32
        })
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn ties_keeps_exactly_as_many_and_the_first_of_equals(n in 1usize..300, seed in 0u64..1000, density in 0.0f64..1.0) {
        let inputs = four(n, seed);
        let config = config("ties", Some("base"), &["a", "b", "c"], json!({"weight": 1, "density": density}), json!({}));
        let (made, expected) = (w(&config, &inputs), plain_ties(&inputs, density.max(1e-9)));
        for (i, (a, b)) in made.iter().zip(&expected).enumerate() {
            prop_assert!((a - b).abs() <= 1e-6, "entry {i} of {n}: {a} and {b}");
        }
    }

    #[test]
    fn breadcrumbs_takes_the_middle(n in 1usize..200, seed in 0u64..1000, density in 0.0f64..1.0, gamma in 0.0f64..0.5) {
        let inputs = four(n, seed);
        let config = config(
            "breadcrumbs", Some("base"), &["a"], json!({"weight": 1, "density": density, "gamma": gamma}), json!({}),
        );
        let (base, tuned) = (raw(&inputs[0]), raw(&inputs[1]));
        let delta: Vec<f32> = tuned.iter().zip(&base).map(|(a, b)| a - b).collect();
        let mut order: Vec<usize> = (0..n).collect();
        order.sort_by(|i, j| delta[*j].abs().total_cmp(&delta[*i].abs()).then(i.cmp(j)));
        let stay = (density * n as f64) as usize;
        let off = ((gamma * n as f64) as usize).min(n - stay);
        let mut expected = base.clone();
        order[off..off + stay].iter().for_each(|&i| expected[i] = base[i] + delta[i]);
        prop_assert_eq!(w(&config, &inputs), expected);
    }
}

#[test]
fn dare_drops_by_chance_and_keeps_the_sum_of_magnitudes() {
    let n = 200_000;
    let base = single("base", &[n], &vec![0.0; n]);
    let mut rng = Rng::new(1);
    let tuned: Vec<f32> = (0..n).map(|_| rng.normal() as f32).collect();
    let inputs = [base, single("a", &[n], &tuned)];
    let with =
        |all: Value| config("dare_linear", Some("base"), &["a"], json!({"weight": 1, "density": 0.3}), all);
    let made = w(&with(json!({})), &inputs);
    let kept = made.iter().filter(|v| **v != 0.0).count() as f64;
    let deviation = (n as f64 * 0.3 * 0.7).sqrt();
    assert!((kept - 0.3 * n as f64).abs() < 5.0 * deviation, "{kept}");
    let sum = |v: &[f32]| v.iter().map(|x| f64::from(x.abs())).sum::<f64>();
    assert!((sum(&made) / sum(&tuned) - 1.0).abs() < 1e-5);
    let scales: Vec<f32> = made.iter().zip(&tuned).filter(|(m, _)| **m != 0.0).map(|(m, t)| m / t).collect();
    assert!(scales.iter().all(|s| (s - scales[0]).abs() < 1e-4));
    // Whether an entry stays has nothing to do with its neighbours.
    let runs = made.windows(2).filter(|p| (p[0] != 0.0) && (p[1] != 0.0)).count() as f64 / n as f64;
    assert!((runs - 0.09).abs() < 0.005, "{runs}");
    let plain = w(&with(json!({"rescale": false})), &inputs);
    assert!(plain.iter().zip(&tuned).all(|(m, t)| *m == 0.0 || m == t));
    let universe = universe(inputs[0].as_ref());
    let again = |seed| {
        let plan = plan(&with(json!({})), &inputs).expect("plans");
        let params = plan.params(
            &universe,
            DType::F32,
            seed,
            &Exec::new(Device::Cpu, 3).expect("threads"),
            &Host::default(),
        );
        bits(params.expect("merges").get(0))
    };
    assert_eq!(again(0), made.iter().map(|v| v.to_bits()).collect::<Vec<_>>());
    assert_ne!(again(1), again(0));
}

#[test]
fn della_keeps_large_entries_more_often() {
    let (rows, cols) = (4000, 10);
    let base = single("base", &[rows, cols], &vec![0.0; rows * cols]);
    // Magnitudes rise along each row.
    let tuned: Vec<f32> =
        (0..rows * cols).map(|i| ((i % cols) + 1) as f32 * if i % 3 == 0 { -1.0 } else { 1.0 }).collect();
    let inputs = [base, single("a", &[rows, cols], &tuned)];
    let config = config(
        "della_linear",
        Some("base"),
        &["a"],
        json!({"weight": 1, "density": 0.5, "epsilon": 0.3}),
        json!({"rescale": false}),
    );
    let made = w(&config, &inputs);
    for rank in 0..cols {
        let kept = (0..rows).filter(|r| made[r * cols + rank] != 0.0).count() as f64 / rows as f64;
        let expected = 0.2 + 0.6 * rank as f64 / (cols - 1) as f64;
        assert!(
            (kept - expected).abs() < 5.0 * (0.25 / rows as f64).sqrt(),
            "rank {rank}: {kept} and {expected}"
        );
    }
    let refused = refusal(
        &super::config(
            "della",
            Some("base"),
            &["a"],
            json!({"weight": 1, "density": 0.9, "epsilon": 0.2}),
            json!({}),
        ),
        &inputs,
    );
    assert!(refused.contains("density 0.9 with epsilon 0.2"), "{refused}");
}

#[test]
fn a_row_of_one_entry_stays_with_the_density() {
    let n = 20_000;
    let inputs = [single("base", &[n, 1], &vec![0.0; n]), single("a", &[n, 1], &vec![1.0; n])];
    let config = config(
        "della_linear",
        Some("base"),
        &["a"],
        json!({"weight": 1, "density": 0.4}),
        json!({"rescale": false}),
    );
    let kept = w(&config, &inputs).iter().filter(|v| **v != 0.0).count() as f64 / n as f64;
    assert!((kept - 0.4).abs() < 0.02, "{kept}");
}

#[test]
fn nothing_and_everything() {
    let inputs = four(100, 9);
    let with = |method: &str, each: Value| {
        config(method, Some("base"), &["a", "b", "c"], each, json!({"normalize": false}))
    };
    let base = raw(&inputs[0]);
    for method in
        ["ties", "dare_ties", "dare_linear", "della", "della_linear", "breadcrumbs", "breadcrumbs_ties"]
    {
        let gone = with(method, json!({"weight": 1, "density": 0.0}));
        assert_eq!(w(&gone, &inputs), base, "{method}");
    }
    let whole = w(&with("ties", json!({"weight": 1, "density": 1.0})), &inputs);
    assert_eq!(w(&with("dare_ties", json!({"weight": 1})), &inputs), whole);
    assert_eq!(w(&with("breadcrumbs_ties", json!({"weight": 1, "density": 1.0})), &inputs), whole);
    assert_eq!(
        w(&with("della_linear", json!({"weight": 1})), &inputs),
        w(&with("task_arithmetic", json!({"weight": 1})), &inputs)
    );
}
