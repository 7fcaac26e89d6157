//! Methods for tickets, and tickets and task vectors among models.

use std::sync::Arc;

use candle_core::{Device, Tensor};
use lota_runtime::mask::Mask;
use lota_runtime::merge::{Input, Overlay};
use lota_runtime::ticket::{Meta, Ticket};
use lota_runtime::vectors::Values;
use proptest::prelude::*;
use roaring::RoaringBitmap;
use serde_json::{Value, json};

use super::{config, raw, refusal, single, tickets, universe, w};

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn disjoint_tickets_are_added_to_the_bit(n in 2usize..400, seed in 0u64..1000) {
        let (base, tickets, _) = tickets(n, seed, true);
        let config = config("disjoint", Some("base"), &["t0", "t1", "t2"], json!({}), json!({}));
        let made = w(&config, &[vec![base.clone()], tickets.clone()].concat());
        let expected: Vec<f32> = (0..n).map(|i| {
            let base = raw(&base)[i];
            let changed = tickets.iter().map(|t| raw(t)[i]).find(|v| v.to_bits() != base.to_bits());
            changed.unwrap_or(base)
        }).collect();
        let bits = |v: &[f32]| v.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
        prop_assert_eq!(bits(&made), bits(&expected));
    }
}

#[test]
fn masks_that_meet_are_refused_by_disjoint_unless_it_is_said_what_to_do() {
    let (base, tickets, all) = tickets(200, 3, false);
    let inputs = [vec![base.clone()], tickets.clone()].concat();
    let with = |overlap: Value| config("disjoint", Some("base"), &["t0", "t1", "t2"], json!({}), overlap);
    let text = refusal(&with(json!({})), &inputs);
    let union = all.iter().map(|t| t.mask().set(0).clone());
    let shared =
        (0..200u32).filter(|i| all.iter().filter(|t| t.mask().set(0).contains(*i)).count() > 1).count();
    assert!(
        text.starts_with(&format!(
            "disjoint: {shared} entries of w are changed by more than one model, t0 and t1"
        )),
        "{text}"
    );
    assert!(text.contains("overlap = \"sum\""), "{text}");
    assert_eq!(union.count(), 3);
    let read = |overlap: &str| w(&with(json!({"overlap": overlap})), &inputs);
    let (sum, mean, first, last, largest) =
        (read("sum"), read("mean"), read("first"), read("last"), read("largest"));
    for i in 0..200 {
        let base = raw(&base)[i];
        let claimed: Vec<f32> = tickets
            .iter()
            .zip(&all)
            .filter(|(_, t)| t.mask().set(0).contains(i as u32))
            .map(|(t, _)| raw(t)[i])
            .collect();
        let Some((one, rest)) = claimed.split_first() else {
            assert_eq!(sum[i].to_bits(), base.to_bits());
            continue;
        };
        let deltas: f32 = claimed.iter().map(|v| v - base).sum();
        assert_eq!(first[i], *one);
        assert_eq!(last[i], *rest.last().unwrap_or(one));
        assert!((sum[i] - base - deltas).abs() <= 1e-5);
        assert!((mean[i] - base - deltas / claimed.len() as f32).abs() <= 1e-5);
        let most = claimed.iter().map(|v| (v - base).abs()).fold(0.0, f32::max);
        assert_eq!((largest[i] - base).abs(), most);
    }
}

#[test]
fn overlap_ties_leaves_lone_entries_whole() {
    let (base, tickets, all) = tickets(300, 5, false);
    let inputs = [vec![base.clone()], tickets.clone()].concat();
    let config = config("overlap_ties", Some("base"), &["t0", "t1", "t2"], json!({}), json!({}));
    let made = w(&config, &inputs);
    for (i, made) in made.iter().enumerate() {
        let base = raw(&base)[i];
        let deltas: Vec<f32> = tickets
            .iter()
            .zip(&all)
            .filter(|(_, t)| t.mask().set(0).contains(i as u32))
            .map(|(t, _)| raw(t)[i] - base)
            .collect();
        let sum: f32 = deltas.iter().sum();
        let agreeing: Vec<f32> = deltas.iter().copied().filter(|d| (*d > 0.0) == (sum >= 0.0)).collect();
        let expected = base + agreeing.iter().sum::<f32>() / agreeing.len().max(1) as f32;
        assert!((made - expected).abs() <= 1e-5, "entry {i}: {made} and {expected}");
    }
}

#[test]
fn magmax_takes_the_larger_change() {
    let inputs = [
        single("base", &[4], &[1.0, 1.0, 1.0, 1.0]),
        single("a", &[4], &[1.5, 0.0, 1.0, 2.0]),
        single("b", &[4], &[0.75, 1.5, 1.0, 0.0]),
    ];
    let config = config("magmax", Some("base"), &["a", "b"], json!({}), json!({}));
    // Of equals the first.
    assert_eq!(w(&config, &inputs), [1.5, 0.0, 1.0, 2.0]);
}

#[test]
fn empty_tickets_and_task_vectors_mix_with_models() {
    let n = 40;
    let base: Vec<f32> = (0..n).map(|i| i as f32 / 10.0).collect();
    let tuned: Vec<f32> = base.iter().map(|v| v + 0.5).collect();
    let base = single("base", &[n], &base);
    let universe = universe(base.as_ref());
    let nothing = Mask::new(universe.clone(), vec![RoaringBitmap::new()]).expect("fits");
    let empty = Ticket::new(nothing, vec![Vec::new()], Meta::new("base", "test")).expect("fits");
    let vector = Tensor::full(0.25f32, n, &Device::Cpu).expect("a tensor");
    let vector = Values::new(universe, vec![Some(vector)]).expect("fits");
    let inputs = [
        base.clone(),
        single("model", &[n], &tuned),
        Arc::new(Overlay::ticket("empty", base.clone(), Arc::new(empty)).expect("fits")) as Arc<dyn Input>,
        Arc::new(Overlay::vector("vector", base.clone(), Arc::new(vector)).expect("fits")),
    ];
    let made = w(
        &config(
            "task_arithmetic",
            Some("base"),
            &["model", "empty", "vector"],
            json!({"weight": 1}),
            json!({}),
        ),
        &inputs,
    );
    for (made, base) in made.iter().zip(raw(&base)) {
        assert!((made - base - 0.75).abs() < 1e-6);
    }
}
