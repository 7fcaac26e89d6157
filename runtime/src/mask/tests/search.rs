//! The two ways to the k-th largest score agree with each other and with a sort, on sets large
//! enough to be sampled, and the comparison they are made of is the plain one.

use super::bits::{Domain, Piece};
use super::bracket::Search;
use super::compare::compare;
use super::keys::{Cut, Keys, magnitude};
use super::*;
use crate::host::{Host, Rng};

proptest! {
    #[test]
    fn comparing_is_comparing(
        bits in proptest::collection::vec(any::<u32>(), 0..300), largest in any::<bool>(),
        mut bounds in any::<[u32; 3]>(), same in any::<bool>(),
    ) {
        let flip = if largest { 0 } else { 0x7fff_ffff };
        let scores: Vec<f32> = bits.iter().map(|b| f32::from_bits(*b)).collect();
        if let (true, Some(score)) = (same, scores.first()) {
            bounds[1] = magnitude(*score) ^ flip;
        }
        let mut bounds = bounds.map(|b| (b & 0x7fff_ffff) as i32 - 1);
        bounds.sort_unstable();
        let mut words = vec![[u64::MAX; 3]; scores.len().div_ceil(64)];
        let most = compare(&scores, flip, &bounds, &mut words);
        prop_assert_eq!(most, scores.iter().map(|s| magnitude(*s)).max().unwrap_or(0));
        for i in 0..words.len() * 64 {
            for (b, bound) in bounds.iter().enumerate() {
                let above = scores.get(i).is_some_and(|s| (magnitude(*s) ^ flip) as i32 > *bound);
                prop_assert_eq!(words[i / 64][b] >> (i % 64) & 1 == 1, above);
            }
        }
    }
}

/// Two parameters of several pieces, and one of a single entry.
fn large() -> Arc<Universe> {
    let spec = |name: &str, shape: &[usize]| ParamSpec {
        name: name.to_string(),
        shape: shape.to_vec(),
        role: Role::Mlp,
        layer: Some(0),
    };
    Universe::new(vec![spec("a", &[701, 1003]), spec("b", &[1]), spec("c", &[4096, 100])]).expect("valid")
}

type Fill = fn(usize, &mut Rng) -> f32;

/// Numbers as calibrations leave them, and worse.
const KINDS: [(&str, Fill); 9] = [
    ("normal", |_, rng| rng.normal() as f32),
    ("rounded to bf16", |_, rng| half::bf16::from_f64(1e-4 * rng.normal()).to_f32()),
    (
        "one step of RMSprop: nearly all alike",
        |_, rng| if rng.below(50) == 0 { rng.normal() as f32 } else { 1e-5 },
    ),
    ("mostly zeros", |_, rng| if rng.below(50) == 0 { rng.normal() as f32 } else { -0.0 }),
    ("all alike", |_, _| -0.25),
    ("rising", |i, _| i as f32),
    ("rows of very different size", |i, rng| (rng.normal() * 10f64.powi((i / 1003 % 30) as i32 - 15)) as f32),
    ("subnormal and infinite", |_, rng| f32::from_bits([1, 2, 3, 0x7f80_0000][rng.below(4) as usize])),
    (
        "a few large among many small",
        |i, rng| if i % 5000 == 0 { 1e30 } else { 1e-30 * rng.uniform() as f32 },
    ),
];

/// Cuts found by a sort: the key of the k-th, and how many of those alike come before it.
fn sorted(keys: &[u32], k: usize) -> Cut {
    let mut order = keys.to_vec();
    order.sort_unstable_by(|a, b| b.cmp(a));
    let key = order[k - 1];
    Cut { key, ties: (k - order.partition_point(|other| *other > key)) as u64 }
}

#[test]
fn the_kth_largest_is_found_in_one_pass_and_digit_by_digit() {
    let universe = large();
    let host = Host::default();
    let mut rng = Rng::new(5);
    let avoid =
        random(&Mask::all(universe.clone()), None, Budget::Density(0.3), Scope::Global, &mut rng, &host)
            .expect("enough");
    for (kind, fill) in KINDS {
        let n = universe.entries() as usize;
        let values: Vec<f32> = (0..n).map(|i| fill(i, &mut rng)).collect();
        let scores = super::select::of_values(&universe, &values);
        let pieces: Vec<Piece> =
            universe.specs().iter().enumerate().flat_map(|(p, s)| Piece::of(p, s.entries())).collect();
        for (largest, bounded) in [(true, false), (false, false), (true, true)] {
            let domain = Domain { within: None, avoid: bounded.then_some(avoid.sets()) };
            let keys = Keys { source: &scores, domain, largest, host: &host };
            let mut candidates = Vec::new();
            let mut i = 0;
            for (p, spec) in universe.specs().iter().enumerate() {
                for at in 0..spec.entries() as usize {
                    if domain.holds(p, at) {
                        candidates.push(magnitude(values[i]) ^ keys.flip());
                    }
                    i += 1;
                }
            }
            let count = candidates.len();
            let census = keys.census(&pieces).expect("numbers");
            assert_eq!(census.candidates, count as u64);
            for k in [1, 2, 700, count / 100, count / 10, count / 2, count - 1, count] {
                let expected = sorted(&candidates, k);
                let what = format!("{kind}, {k} of {count}, largest {largest}");
                assert_eq!(keys.radix_cut(&pieces, &census, k as u64).expect("found"), expected, "{what}");
                let found = keys.search(&pieces, count as u64, k as u64).expect("numbers");
                assert_eq!(found, Search::Found(expected), "{what}");
            }
        }
    }
}

#[test]
fn a_sample_that_misleads_costs_time_and_nothing_else() {
    let universe = large();
    let value = |i: usize| ((i * 7919) % 1_000_003) as f32;
    let starts = [0, 701 * 1003, 701 * 1003 + 1];
    // Short reads, which are those of the sample, see something else.
    for wrong in [0.0, 1e9] {
        let source = Generated::new(universe.clone(), &[0, 1, 2], |p, start, out: &mut [f32]| {
            let short = out.len() <= 8 && p != 1;
            for (i, out) in out.iter_mut().enumerate() {
                *out = if short { wrong } else { value(starts[p] + start + i) };
            }
        });
        let values: Vec<f32> = (0..universe.entries() as usize).map(value).collect();
        let host = Host::default();
        let choose = |source: &dyn Source| {
            top(source, Budget::Density(0.03), Scope::Global, None, None, true, &host).expect("enough")
        };
        let pieces: Vec<Piece> = (0..3).flat_map(|p| Piece::of(p, universe.spec(p).entries())).collect();
        let keys = Keys { source: &source, domain: Domain::default(), largest: true, host: &host };
        assert_eq!(keys.search(&pieces, universe.entries(), 33_000).expect("numbers"), Search::Missed);
        assert_eq!(choose(&source), choose(&super::select::of_values(&universe, &values)));
    }
}

#[test]
fn selection_does_not_depend_on_the_number_of_threads() {
    let universe = large();
    let mut rng = Rng::new(8);
    let values: Vec<f32> =
        (0..universe.entries()).map(|_| half::bf16::from_f64(rng.normal()).to_f32()).collect();
    let scores = super::select::of_values(&universe, &values);
    let choose = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("a pool");
        let host = Host::default();
        pool.install(|| {
            [Scope::Global, Scope::PerParameter, Scope::PerRow].map(|scope| {
                top(&scores, Budget::Density(0.1), scope, None, None, true, &host).expect("enough")
            })
        })
    };
    let one = choose(1);
    assert!((2..6).all(|threads| choose(threads) == one));
}
