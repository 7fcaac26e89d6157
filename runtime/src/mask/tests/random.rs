//! Random masks: exact, reproducible, and as uniform as they claim.

use super::*;
use crate::host::{Host, Rng};

fn draw(within: &Mask, avoid: Option<&Mask>, budget: Budget, scope: Scope, seed: u64) -> Result<Mask> {
    random(within, avoid, budget, scope, &mut Rng::new(seed), &Host::default())
}

proptest! {
    #[test]
    fn random_masks_are_exact(within in any_mask(), avoid in any_mask(), k in 0u64..60, seed in any::<u64>()) {
        let candidates = difference(&[&within, &avoid]).expect("same").count();
        match draw(&within, Some(&avoid), Budget::Count(k), Scope::Global, seed) {
            Ok(mask) => {
                prop_assert_eq!(mask.count(), k);
                prop_assert!(mask.is_subset(&within).expect("same") && mask.is_disjoint(&avoid).expect("same"));
                let again = draw(&within, Some(&avoid), Budget::Count(k), Scope::Global, seed).expect("enough");
                prop_assert_eq!(mask, again);
            }
            Err(e) => {
                prop_assert!(k > candidates);
                let expected = format!("asked for {k} entries, but only {candidates} may be selected");
                prop_assert_eq!(e.to_string(), expected);
            }
        }
    }

    #[test]
    fn every_group_gets_its_own_share(seed in any::<u64>(), density in 0.0f64..=1.0) {
        let all = Mask::all(universe());
        for scope in [Scope::PerParameter, Scope::PerLayer, Scope::PerRow] {
            let Ok(mask) = draw(&all, None, Budget::Density(density), scope, seed) else {
                // Nothing to be had in the largest group either.
                let universe = universe();
                let most = universe.specs().iter().map(|spec| match scope {
                    Scope::PerRow => spec.rows_cols().1 as u64,
                    _ => spec.entries(),
                });
                prop_assert!(density * (most.max().expect("some") as f64) < 0.5);
                continue;
            };
            for (p, spec) in universe().specs().iter().enumerate() {
                let share = |n: u64| (density * n as f64).round() as u64;
                match scope {
                    Scope::PerParameter => prop_assert_eq!(mask.set(p).len(), share(spec.entries())),
                    Scope::PerRow => {
                        let (rows, cols) = spec.rows_cols();
                        for row in 0..rows {
                            let range = (row * cols) as u32..((row + 1) * cols) as u32;
                            prop_assert_eq!(mask.set(p).range_cardinality(range), share(cols as u64));
                        }
                    }
                    _ => {}
                }
            }
        }
    }
}

/// Each entry is chosen equally often, and so is each pair: 6,000 draws of 8 out of 40.
#[test]
fn random_masks_are_uniform() {
    let specs = (0..4).map(|i| ParamSpec {
        name: format!("p{i}"),
        shape: vec![2, 5],
        role: Role::Mlp,
        layer: Some(0),
    });
    let universe = Universe::new(specs.collect()).expect("valid");
    let all = Mask::all(universe.clone());
    let draws = 6000;
    let mut single = vec![0u32; 40];
    let mut pairs = 0;
    let mut rng = Rng::new(1);
    for _ in 0..draws {
        let mask =
            random(&all, None, Budget::Count(8), Scope::Global, &mut rng, &Host::default()).expect("enough");
        for (p, _, set) in mask.selected() {
            set.iter().for_each(|i| single[p * 10 + i as usize] += 1);
        }
        pairs += u32::from(mask.set(0).contains(3) && mask.set(2).contains(7));
    }
    // 1,200 expected, with a standard deviation of 31; five of them.
    assert!(single.iter().all(|&n| n.abs_diff(1200) < 155), "{single:?}");
    // 6,000 · (8·7)/(40·39) = 215 expected, with a standard deviation of 14.
    assert!(pairs.abs_diff(215) < 72, "{pairs}");
}

#[test]
fn stretches_of_a_large_parameter_get_fair_shares() {
    let spec = ParamSpec { name: "a".into(), shape: vec![3000, 300], role: Role::Mlp, layer: Some(0) };
    let universe = Universe::new(vec![spec]).expect("valid");
    let all = Mask::all(universe.clone());
    for density in [0.01, 0.6, 1.0] {
        let mask = draw(&all, None, Budget::Density(density), Scope::Global, 5).expect("enough");
        assert_eq!(mask.count(), (900_000.0 * density) as u64);
        for start in (0..900_000u32 - 65_536).step_by(65_536) {
            let here = mask.set(0).range_cardinality(start..start + 65_536) as f64;
            let sigma = (65_536.0 * density * (1.0 - density)).sqrt();
            assert!((here - 65_536.0 * density).abs() <= 5.0 * sigma, "{here} at {start}");
        }
    }
    let first = draw(&all, None, Budget::Density(0.3), Scope::Global, 5).expect("enough");
    let other = draw(&all, Some(&first), Budget::Density(0.7), Scope::Global, 6).expect("just enough");
    assert_eq!(union(&[&first, &other]).expect("same"), all);
    let pool = |threads| rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("threads");
    let one = pool(1).install(|| draw(&all, None, Budget::Density(0.3), Scope::PerRow, 5)).expect("enough");
    let four = pool(4).install(|| draw(&all, None, Budget::Density(0.3), Scope::PerRow, 5)).expect("enough");
    assert_eq!(one, four);
    assert_eq!(one.count(), 3000 * 90);
}

#[test]
fn avoiding_entries_is_choosing_among_the_others() {
    let all = Mask::all(universe());
    let count = all.count();
    for (inside, outside) in [(1.0, 0.01), (1.0, 0.5), (1.0, 0.95), (0.6, 0.3)] {
        let some =
            |density, seed| draw(&all, None, Budget::Density(density), Scope::Global, seed).expect("enough");
        let (within, avoid) = (if inside == 1.0 { all.clone() } else { some(inside, 1) }, some(outside, 2));
        let others = difference(&[&within, &avoid]).expect("same model");
        for k in [1, count / 50 + 1, others.count() / 2, others.count()] {
            let plain = draw(&others, None, Budget::Count(k), Scope::Global, 7).expect("as many");
            let found = draw(&within, Some(&avoid), Budget::Count(k), Scope::Global, 7).expect("as many");
            assert_eq!(found, plain, "{inside} {outside} {k}");
        }
    }
}
