//! Tests of the codecs: what is written is read, in about as few bits as there can be, and nothing
//! that was not written is read.

use std::sync::Arc;

use proptest::prelude::*;
use roaring::RoaringBitmap;

use super::values::Row;
use super::*;
use crate::host::Rng;
use crate::model::{ParamSpec, Role, Universe};

fn universe(shapes: &[Vec<usize>]) -> Arc<Universe> {
    let spec = |(i, shape): (usize, &Vec<usize>)| ParamSpec {
        name: format!("p{i}.weight"),
        shape: shape.clone(),
        role: Role::Mlp,
        layer: Some(0),
    };
    Universe::new(shapes.iter().enumerate().map(spec).collect()).expect("valid")
}

/// A mask whose entry at row r and column c is in with the chance density * row(r) * col(c).
fn mask(
    universe: &Arc<Universe>,
    seed: u64,
    density: f64,
    row: impl Fn(usize) -> f64,
    col: impl Fn(usize) -> f64,
) -> Mask {
    let mut rng = Rng::new(seed);
    let sets = universe.specs().iter().map(|spec| {
        let cols = spec.rows_cols().1;
        let taken = (0..spec.entries() as usize)
            .filter(|i| rng.uniform() < density * row(i / cols) * col(i % cols))
            .map(|i| i as u32);
        taken.collect::<RoaringBitmap>()
    });
    Mask::new(universe.clone(), sets.collect()).expect("fits")
}

fn read(code: &[u8], universe: &Universe) -> Result<Vec<RoaringBitmap>, String> {
    decode(&heads(code, universe)?, universe)
}

fn round_trip(mask: &Mask) -> usize {
    let code = encode(mask);
    let sets = read(&code, mask.universe()).expect("reads");
    assert_eq!(sets, mask.sets());
    assert_eq!(heads(&code, mask.universe()).expect("reads").entries(), mask.count());
    code.len()
}

#[test]
fn uniform_positions_take_little_more_than_the_bound() {
    // About the shapes of a layer of SmolLM2, narrow and wide.
    let universe = universe(&[vec![576, 576], vec![192, 576], vec![1536, 576], vec![576, 1536], vec![576]]);
    for (seed, density) in [(1, 0.1), (2, 0.01), (3, 0.001), (4, 0.5), (5, 0.9)] {
        let mask = mask(&universe, seed, density, |_| 1.0, |_| 1.0);
        let (bytes, bound) = (round_trip(&mask) as f64, entropy_bound(&mask));
        assert!(bytes < 1.02 * bound + 40.0, "{density}: {bytes} bytes against {bound}");
        assert!(bytes < 1.05 * bound, "{density}: {bytes} bytes against {bound}");
    }
}

#[test]
fn rows_and_columns_of_their_own_density_take_less_than_the_bound() {
    let universe = universe(&[vec![512, 768]]);
    let some = |every: usize| move |i: usize| if i.is_multiple_of(every) { 12.0 } else { 0.4 };
    for density in [0.05, 0.01] {
        let of = [
            mask(&universe, 1, density, some(16), |_| 1.0),
            mask(&universe, 2, density, |_| 1.0, some(16)),
            mask(&universe, 3, density, some(16), some(16)),
        ];
        for mask in of {
            let (bytes, bound) = (round_trip(&mask) as f64, entropy_bound(&mask));
            assert!(bytes < 0.9 * bound, "{density}: {bytes} bytes against {bound}");
        }
    }
}

#[test]
fn all_entries_and_none_take_next_to_nothing() {
    let universe = universe(&[vec![300, 400], vec![7], vec![1, 1], vec![1 << 16, 1 << 16]]);
    assert!(round_trip(&Mask::none(universe.clone())) < 16);
    let sets =
        vec![RoaringBitmap::from_iter(0..120_000), (0..7).collect(), (0..1).collect(), RoaringBitmap::full()];
    let full = Mask::new(universe.clone(), sets.clone()).expect("fits");
    assert!(round_trip(&full) < 32);
    // All but one, and one alone, at the far end of the largest parameter there can be.
    let mut but_one = sets;
    but_one[3].remove(u32::MAX);
    but_one[0].remove(0);
    but_one[2].clear();
    assert!(round_trip(&Mask::new(universe.clone(), but_one).expect("fits")) < 64);
    let mut one = vec![RoaringBitmap::new(); 4];
    one[3].insert(u32::MAX);
    assert!(round_trip(&Mask::new(universe, one).expect("fits")) < 32);
}

/// Shapes as they come and as they do not.
fn shapes() -> impl Strategy<Value = Vec<Vec<usize>>> {
    let shape = prop_oneof![
        proptest::collection::vec(1usize..200, 1),
        proptest::collection::vec(1usize..80, 2),
        proptest::collection::vec(1usize..9, 3),
        Just(vec![1, 3000]),
        Just(vec![3000, 1]),
    ];
    proptest::collection::vec(shape, 1..5)
}

/// Densities by line: even, some lines heavy, whole lines.
fn lines() -> impl Strategy<Value = (usize, f64, f64)> {
    (1usize..20, 0.0f64..1.5, prop_oneof![Just(1.0), Just(30.0), Just(1e9)])
}

fn by((every, light, heavy): (usize, f64, f64)) -> impl Fn(usize) -> f64 {
    move |i| if i.is_multiple_of(every) { heavy } else { light }
}

proptest! {
    #[test]
    fn positions_come_back(
        shapes in shapes(), seed in any::<u64>(), density in prop_oneof![0.0f64..1.0, 0.0f64..0.02],
        rows in lines(), cols in lines(),
    ) {
        let mask = mask(&universe(&shapes), seed, density, by(rows), by(cols));
        round_trip(&mask);
    }

    #[test]
    fn a_damaged_code_is_refused_or_is_another_code(
        shapes in shapes(), seed in any::<u64>(), density in 0.0f64..1.0, rows in lines(), cols in lines(),
        at in any::<prop::sample::Index>(), byte in any::<u8>(), cut in any::<prop::sample::Index>(),
        noise in proptest::collection::vec(any::<u8>(), 0..200),
    ) {
        let universe = universe(&shapes);
        let code = encode(&mask(&universe, seed, density, by(rows), by(cols)));
        let mut changed = code.clone();
        changed[at.index(code.len())] ^= byte;
        let mut noisy = code.clone();
        let from = at.index(code.len());
        noisy.splice(from..(from + noise.len()).min(code.len()), noise.iter().copied());
        for damaged in [changed, noisy, noise, code[..cut.index(code.len())].to_vec()] {
            if let Ok(sets) = read(&damaged, &universe) {
                let count: u64 = sets.iter().map(RoaringBitmap::len).sum();
                prop_assert_eq!(heads(&damaged, &universe).expect("read before").entries(), count);
                prop_assert!(Mask::new(universe.clone(), sets).is_ok());
            }
        }
        prop_assert!(read(&code[..code.len() - 1], &universe).is_err());
        prop_assert!(read(&[&code[..], &[0]].concat(), &universe).is_err());
    }

    #[test]
    fn steps_are_the_nearest_there_are(
        values in proptest::collection::vec(-10.0f32..10.0, 0..60), gaps in proptest::collection::vec(1u32..12, 60),
    ) {
        let spec = ParamSpec { name: "w".into(), shape: vec![90, 8], role: Role::Mlp, layer: None };
        let positions = values.iter().zip(&gaps).scan(0, |at, (_, gap)| { *at += gap; Some(*at - 1) });
        let set: RoaringBitmap = positions.collect();
        let rows = rows_of(&spec, &set);
        let of_row = |row: &Row| set.select(row.start as u32).map(|i| i / 8);
        // Every entry is in just one row, and rows are whole.
        prop_assert_eq!(rows.iter().map(|r| r.len()).sum::<usize>(), values.len());
        for pair in rows.windows(2) {
            prop_assert!(pair[0].end == pair[1].start && of_row(&pair[0]) < of_row(&pair[1]));
        }
        for kind in [ValueType::Int8, ValueType::Ternary] {
            let (steps, sizes) = quantise(&spec, &values, &rows, kind).expect("finite");
            let back = restore(&steps, &sizes, &rows);
            for (row, &size) in rows.iter().zip(&sizes) {
                let all = &values[row.clone()];
                prop_assert!(row.clone().all(|i| of_row(row) == set.select(i as u32).map(|p| p / 8)));
                let square = |levels: &dyn Fn(f32) -> f64| all.iter().map(|&v| levels(v)).sum::<f64>();
                let got: f64 = row.clone().map(|i| (f64::from(values[i]) - f64::from(back[i])).powi(2)).sum();
                if kind == ValueType::Int8 {
                    let most = all.iter().fold(0f32, |m, v| m.max(v.abs()));
                    for i in row.clone() {
                        prop_assert!((values[i] - back[i]).abs() <= most / 127.0 * 0.5001);
                    }
                } else {
                    // No other size does better with the nearest of its three levels, and neither do
                    // these steps with another size.
                    for other in [0.5, 0.9, 0.99, 1.0, 1.01, 1.1, 2.0].map(|f| f64::from(size) * f) {
                        let nearest = square(&|v| {
                            let v = f64::from(v).abs();
                            v.min((v - other).abs()).powi(2)
                        });
                        prop_assert!(got <= nearest * (1.0 + 1e-5) + 1e-9, "{got} against {nearest}");
                    }
                }
            }
            if kind == ValueType::Ternary {
                prop_assert_eq!(unpack(&pack(&steps), steps.len()), Some(steps));
            }
        }
    }

    #[test]
    fn bytes_that_are_not_ternary_are_refused(bytes in proptest::collection::vec(any::<u8>(), 0..8), len in 0usize..40) {
        if let Some(steps) = unpack(&bytes, len) {
            prop_assert_eq!(pack(&steps), bytes);
        }
    }
}

#[test]
fn what_cannot_be_a_step_is_refused_and_extremes_are_kept() {
    let spec = ParamSpec { name: "w".into(), shape: vec![2, 2], role: Role::Mlp, layer: None };
    let all: RoaringBitmap = (0..4).collect();
    let rows = rows_of(&spec, &all);
    let error =
        quantise(&spec, &[0.0, f32::NAN, 0.0, 0.0], &rows, ValueType::Int8).expect_err("not a number");
    assert_eq!(error.to_string(), "parameter w is to hold NaN, which int8 cannot write: write f32 or bf16");
    for kind in [ValueType::Int8, ValueType::Ternary] {
        let values = [f32::MAX, -f32::MAX, 0.0, 0.0];
        let (steps, sizes) = quantise(&spec, &values, &rows, kind).expect("finite");
        let back = restore(&steps, &sizes, &rows);
        assert!(back.iter().zip(values).all(|(b, v)| (b - v).abs() <= v.abs() * 1e-6), "{back:?}");
    }
}

#[test]
fn the_bound_is_the_entropy() {
    let universe = universe(&[vec![10, 10], vec![50]]);
    let sets = vec![(0..10).collect(), RoaringBitmap::new()];
    let mask = Mask::new(universe.clone(), sets).expect("fits");
    // H(0.1) = 0.4689955935892812 bits, of 100 entries: the empty parameter has no part in it.
    assert!((entropy_bound(&mask) - 100.0 * 0.468_995_593_589_281_2 / 8.0).abs() < 1e-12);
    assert_eq!(entropy_bound(&Mask::none(universe.clone())), 0.0);
    assert_eq!(entropy_bound(&Mask::all(universe)), 0.0);
}
