//! Everything that makes, combines and measures masks against plain sets of (parameter, entry), on
//! models of odd shapes: one entry, one row, one column, lengths that are no multiple of anything.

use std::collections::{BTreeMap, BTreeSet};

use candle_core::DType;
use prop::collection::vec;
use prop::sample::select;

use super::*;
use crate::host::{Host, Rng};

type Set = BTreeSet<(usize, u32)>;

/// Models of one to five parameters, some outside the layers.
fn any_universe() -> impl Strategy<Value = Arc<Universe>> {
    let side = || select(vec![1usize, 2, 3, 5, 8, 13, 64, 67]);
    let shape = prop_oneof![side().prop_map(|n| vec![n]), (side(), side()).prop_map(|(r, c)| vec![r, c])];
    let role = select(vec![Role::Attention, Role::Mlp, Role::Norm, Role::Embed]);
    vec((shape, role, prop::option::of(0usize..3)), 1..6).prop_map(|params| {
        let spec = |(i, (shape, role, layer)): (usize, (Vec<usize>, Role, Option<usize>))| ParamSpec {
            name: format!("p{i}"),
            shape,
            role,
            layer,
        };
        Universe::new(params.into_iter().enumerate().map(spec).collect()).expect("valid")
    })
}

/// A set of some entries, none, or all.
fn any_set(universe: &Arc<Universe>) -> impl Strategy<Value = Set> + use<> {
    let all: Vec<(usize, u32)> = everything(universe).into_iter().collect();
    let n = all.len();
    prop_oneof![
        1 => Just(Set::new()),
        1 => Just(all.iter().copied().collect::<Set>()),
        6 => (vec(any::<bool>(), n), any::<bool>()).prop_map(move |(keep, more)| {
            let kept = all.iter().zip(&keep).filter(|(entry, keep)| **keep && (more || entry.1 % 3 == 0));
            kept.map(|(entry, _)| *entry).collect()
        }),
    ]
}

/// Numbers of every kind there is, with many ties.
fn any_number() -> impl Strategy<Value = f32> {
    prop_oneof![
        select(vec![0.0f32, -0.0, 1.0, -1.0, 0.5]),
        select(vec![f32::INFINITY, f32::NEG_INFINITY, f32::MAX, f32::MIN_POSITIVE, 1e-45, -1e-45, 1e-40]),
        -2.0f32..2.0,
    ]
}

fn everything(universe: &Universe) -> Set {
    let entries = |(p, spec): (usize, &ParamSpec)| (0..spec.entries() as u32).map(move |i| (p, i));
    universe.specs().iter().enumerate().flat_map(entries).collect()
}

fn mask(universe: &Arc<Universe>, set: &Set) -> Mask {
    let mut sets = vec![RoaringBitmap::new(); universe.len()];
    for &(p, i) in set {
        sets[p].insert(i);
    }
    Mask::new(universe.clone(), sets).expect("fits")
}

fn set(mask: &Mask) -> Set {
    mask.sets().iter().enumerate().flat_map(|(p, set)| set.iter().map(move |i| (p, i))).collect()
}

/// A model, scores of some of its parameters as (tensors, numbers by entry), and three sets.
type Case = (Arc<Universe>, Values, BTreeMap<(usize, u32), f32>, [Set; 3]);

fn any_case() -> impl Strategy<Value = Case> {
    any_universe().prop_flat_map(|universe| {
        let n = universe.entries() as usize;
        let values = prop_oneof![
            8 => vec(any_number(), n),
            1 => any_number().prop_map(move |v| vec![v; n]),
        ];
        let sets = [any_set(&universe), any_set(&universe), any_set(&universe)];
        let kinds = select(vec![DType::F32, DType::BF16, DType::F16, DType::F64]);
        let scored = vec(prop::bool::weighted(0.85), universe.len());
        (values, kinds, scored, sets).prop_map(move |(values, kind, scored, sets)| {
            let mut rest = values.as_slice();
            let scores = Values::from_fn(universe.clone(), |p, spec| {
                let (here, behind) = rest.split_at(spec.entries() as usize);
                rest = behind;
                let tensor = Tensor::from_slice(here, spec.shape.clone(), &Device::Cpu)?.to_dtype(kind)?;
                Ok(scored[p].then_some(tensor))
            })
            .expect("fits");
            let mut numbers = BTreeMap::new();
            for (p, part) in scores.parts().iter().enumerate() {
                let tensor = part.as_ref().map(crate::vectors::Part::tensor);
                let Some(tensor) = tensor else { continue };
                let flat = tensor.flatten_all().and_then(|t| t.to_dtype(DType::F32)?.to_vec1::<f32>());
                numbers.extend((0..).zip(flat.expect("floats")).map(|(i, v)| ((p, i), v)));
            }
            (universe.clone(), scores, numbers, sets)
        })
    })
}

/// The group of an entry under a scope: where outside the layers, its parameter.
fn group(universe: &Universe, scope: Scope, (p, i): (usize, u32)) -> (usize, usize) {
    let spec = universe.spec(p);
    match (scope, spec.layer) {
        (Scope::Global, _) => (0, 0),
        (Scope::PerLayer, Some(layer)) => (1, layer),
        (Scope::PerLayer, None) | (Scope::PerParameter, _) => (2, p),
        (Scope::PerRow, _) => (3 + p, i as usize / spec.rows_cols().1),
    }
}

/// Selection as one would write it first: sort each group and take what comes first; `None` where
/// that cannot be had.
fn sorted(
    case: &Case,
    budget: Budget,
    scope: Scope,
    within: &Set,
    avoid: &Set,
    largest: bool,
) -> Option<Set> {
    let (universe, _, numbers, _) = case;
    type Candidate = (f32, (usize, u32));
    let mut groups: BTreeMap<_, (u64, Vec<Candidate>)> = BTreeMap::new();
    if scope == Scope::Global {
        groups.insert((0, 0), Default::default());
    }
    for (&entry, value) in numbers {
        let (population, candidates) = groups.entry(group(universe, scope, entry)).or_default();
        *population += u64::from(within.contains(&entry));
        if within.contains(&entry) && !avoid.contains(&entry) {
            candidates.push((value.abs(), entry));
        }
    }
    if takes_nothing(budget, groups.values().map(|(population, _)| *population)) {
        return None;
    }
    let mut chosen = Set::new();
    for (population, mut candidates) in groups.into_values() {
        let k = budget.of(population).expect("in range") as usize;
        candidates.sort_by(|a, b| {
            let order = if largest { b.0.total_cmp(&a.0) } else { a.0.total_cmp(&b.0) };
            order.then(a.1.cmp(&b.1))
        });
        let first = candidates.get(..k)?;
        if largest && k < candidates.len() && first.iter().any(|(value, _)| *value == 0.0) {
            return None;
        }
        chosen.extend(first.iter().map(|(_, entry)| *entry));
    }
    Some(chosen)
}

/// Whether a density above 0 rounds to none in every group, which is an error.
fn takes_nothing(budget: Budget, populations: impl Iterator<Item = u64> + Clone) -> bool {
    matches!(budget, Budget::Density(d) if d > 0.0)
        && populations.clone().any(|n| n > 0)
        && populations.clone().all(|n| budget.of(n).expect("in range") == 0)
}

fn any_scope() -> impl Strategy<Value = Scope> {
    select(vec![Scope::Global, Scope::PerParameter, Scope::PerLayer, Scope::PerRow])
}

fn any_budget() -> impl Strategy<Value = Budget> {
    prop_oneof![
        (0u64..6).prop_map(Budget::Count),
        select(vec![0.0, 0.01, 0.1, 0.5, 0.9, 1.0]).prop_map(Budget::Density),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]

    #[test]
    fn selection_is_a_sort(
        case in any_case(), budget in any_budget(), scope in any_scope(), largest in any::<bool>(),
        bounds in any::<(bool, bool)>(),
    ) {
        let (universe, scores, numbers, [a, b, _]) = &case;
        let all = everything(universe);
        let (within, avoid) = (if bounds.0 { a } else { &all }, if bounds.1 { b.clone() } else { Set::new() });
        let (inside, outside) = (mask(universe, a), mask(universe, b));
        let chosen = top(
            scores, budget, scope, bounds.0.then_some(&inside), bounds.1.then_some(&outside), largest, &Host::default(),
        );
        match sorted(&case, budget, scope, within, &avoid, largest) {
            Some(expected) => prop_assert_eq!(set(&chosen.expect("enough")), expected),
            None => prop_assert!(chosen.is_err()),
        }
        let nonzero = super::nonzero(scores, &Host::default()).expect("numbers");
        prop_assert_eq!(nonzero, numbers.values().filter(|v| **v != 0.0).count() as u64);
    }

    #[test]
    fn thresholds_and_patterns_are_what_they_say(
        case in any_case(), above in any_number(), bounds in any::<(bool, bool)>(), n in 0usize..4, m in 1usize..6,
    ) {
        let (universe, scores, numbers, [a, b, _]) = &case;
        let host = Host::default();
        let (inside, outside) = (mask(universe, a), mask(universe, b));
        let found = threshold(scores, above, bounds.0.then_some(&inside), bounds.1.then_some(&outside), &host);
        let expected = numbers.iter().filter(|(entry, value)| {
            value.abs() > above && (!bounds.0 || a.contains(entry)) && (!bounds.1 || !b.contains(entry))
        });
        prop_assert_eq!(set(&found.expect("numbers")), expected.map(|(entry, _)| *entry).collect::<Set>());
        let moved = support(scores, &host).expect("numbers");
        let expected = numbers.iter().filter(|(_, value)| **value != 0.0);
        prop_assert_eq!(set(&moved), expected.map(|(entry, _)| *entry).collect::<Set>());

        let kept = nm(scores, n, m, bounds.0.then_some(&inside), bounds.1.then_some(&outside), &host);
        let fits = |p: usize| universe.spec(p).rows_cols().1.is_multiple_of(m);
        if n > m || !(0..universe.len()).all(|p| scores.part(p).is_none() || fits(p)) {
            prop_assert!(kept.is_err());
        } else {
            let mut neighbours: BTreeMap<(usize, usize), Vec<(f32, u32)>> = BTreeMap::new();
            for (&(p, i), value) in numbers {
                if (!bounds.0 || a.contains(&(p, i))) && (!bounds.1 || !b.contains(&(p, i))) {
                    neighbours.entry((p, i as usize / m)).or_default().push((value.abs(), i));
                }
            }
            let mut expected = Set::new();
            for ((p, _), mut group) in neighbours {
                group.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
                expected.extend(group.iter().take(n).map(|(_, i)| (p, *i)));
            }
            prop_assert_eq!(set(&kept.expect("fits")), expected);
        }
    }

    #[test]
    fn chance_keeps_to_its_bounds_and_its_number(
        case in any_case(), budget in any_budget(), scope in any_scope(), seed in any::<u64>(),
    ) {
        let (universe, _, _, [a, b, _]) = &case;
        let (inside, outside) = (mask(universe, a), mask(universe, b));
        let draw = || random(&inside, Some(&outside), budget, scope, &mut Rng::new(seed), &Host::default());
        let mut groups: BTreeMap<_, (u64, u64)> = BTreeMap::new();
        if scope == Scope::Global {
            groups.insert((0, 0), (0, 0));
        }
        for entry in everything(universe) {
            // A parameter with nothing within belongs to no group.
            if !inside.set(entry.0).is_empty() {
                let (population, free) = groups.entry(group(universe, scope, entry)).or_default();
                *population += u64::from(a.contains(&entry));
                *free += u64::from(a.contains(&entry) && !b.contains(&entry));
            }
        }
        let enough = groups.values().all(|(population, free)| budget.of(*population).expect("in range") <= *free);
        let nothing = takes_nothing(budget, groups.values().map(|(population, _)| *population));
        let drawn = draw();
        prop_assert_eq!(drawn.is_ok(), enough && !nothing);
        let Ok(drawn) = drawn else { return Ok(()) };
        prop_assert_eq!(&drawn, &draw().expect("again"));
        prop_assert!(set(&drawn).iter().all(|entry| a.contains(entry) && !b.contains(entry)));
        let mut counts: BTreeMap<_, u64> = groups.keys().map(|key| (*key, 0)).collect();
        for entry in set(&drawn) {
            *counts.entry(group(universe, scope, entry)).or_default() += 1;
        }
        for (key, count) in counts {
            prop_assert_eq!(count, budget.of(groups[&key].0).expect("in range"));
        }
    }

    #[test]
    fn budgets_of_parameters_hold_for_each_of_them(
        case in any_case(), budgets in vec(any_budget(), 6), scope in select(vec![Scope::PerParameter, Scope::PerRow]),
        seed in any::<u64>(),
    ) {
        let (universe, scores, numbers, [a, b, _]) = &case;
        let (inside, outside) = (mask(universe, a), mask(universe, b));
        let each = Budgets::Each(budgets.iter().take(universe.len()).copied().map(Some).collect());
        let check = |chosen: Result<Mask>, possible: &Set| -> std::result::Result<(), TestCaseError> {
            let mut groups: BTreeMap<_, (usize, u64, u64)> = BTreeMap::new();
            for entry in possible {
                let (p, population, free) = groups.entry(group(universe, scope, *entry)).or_default();
                *p = entry.0;
                *population += u64::from(a.contains(entry));
                *free += u64::from(a.contains(entry) && !b.contains(entry));
            }
            // A parameter of which nothing lies within needs no budget, and gets nothing.
            let asked = |(p, population, _): &(usize, u64, u64)| match inside.set(*p).is_empty() {
                true => 0,
                false => budgets[*p].of(*population).expect("in range"),
            };
            let enough = groups.values().all(|of| asked(of) <= of.2);
            let given = |of: &(usize, u64, u64)| {
                of.1 > 0 && matches!(budgets[of.0], Budget::Density(density) if density > 0.0)
            };
            let nothing = groups.values().any(given) && groups.values().all(|of| asked(of) == 0);
            prop_assert_eq!(chosen.is_ok(), enough && !nothing, "{:?}", chosen);
            let Ok(chosen) = chosen else { return Ok(()) };
            prop_assert!(chosen.is_subset(&inside).expect("same") && chosen.is_disjoint(&outside).expect("same"));
            let mut counts: BTreeMap<_, u64> = groups.keys().map(|key| (*key, 0)).collect();
            set(&chosen).into_iter().for_each(|entry| *counts.entry(group(universe, scope, entry)).or_default() += 1);
            for (key, count) in counts {
                prop_assert_eq!(count, asked(&groups[&key]));
            }
            Ok(())
        };
        let (within, avoid, host) = (Some(&inside), Some(&outside), Host::default());
        let scored: Set = numbers.keys().copied().collect();
        check(top(scores, each.clone(), scope, within, avoid, false, &host), &scored)?;
        check(random(&inside, avoid, each, scope, &mut Rng::new(seed), &host), &everything(universe))?;
    }

    #[test]
    fn tensors_and_positions_are_masks_written_out(case in any_case()) {
        let (universe, scores, numbers, [a, b, c]) = &case;
        let (inside, outside, own) = (mask(universe, a), mask(universe, b), mask(universe, c));
        let back = Mask::of_tensors::<Error>(universe.clone(), |p, _| own.tensor(p).map(Some)).expect("fits");
        prop_assert_eq!(&back, &own);
        let back = Mask::of_positions::<Error>(universe.clone(), |p, _| Ok(own.positions(p)?.to_vec1()?)).expect("fits");
        prop_assert_eq!(&back, &own);
        let nonzero = Mask::of_tensors::<Error>(universe.clone(), |p, _| Ok(scores.part(p).map(|part| part.tensor().clone()))).expect("numbers");
        prop_assert!(support(scores, &Host::default()).expect("numbers").is_subset(&nonzero).expect("same"));
        prop_assert!(set(&nonzero).iter().all(|entry| numbers.contains_key(entry)));
        let clipped = bounded(own, Some(&inside), Some(&outside)).expect("same");
        prop_assert_eq!(set(&clipped), &(c & a) - b);
    }

    #[test]
    fn the_algebra_is_that_of_sets(case in any_case()) {
        let (universe, _, _, sets) = &case;
        let masks = sets.each_ref().map(|s| mask(universe, s));
        let all: Vec<&Mask> = masks.iter().collect();
        let count = |entry: &(usize, u32)| sets.iter().filter(|s| s.contains(entry)).count();
        let entries = everything(universe);
        let those = |keep: &dyn Fn(&(usize, u32)) -> bool| -> Set { entries.iter().copied().filter(|e| keep(e)).collect() };
        prop_assert_eq!(set(&union(&all).expect("same")), those(&|e| count(e) > 0));
        prop_assert_eq!(set(&intersection(&all).expect("same")), those(&|e| count(e) == 3));
        prop_assert_eq!(set(&symmetric_difference(&all).expect("same")), those(&|e| count(e) % 2 == 1));
        prop_assert_eq!(set(&difference(&all).expect("same")), those(&|e| sets[0].contains(e) && count(e) == 1));
        prop_assert_eq!(set(&complement(all[0], None).expect("same")), those(&|e| !sets[0].contains(e)));
        prop_assert_eq!(set(&complement(all[0], Some(all[1])).expect("same")), &sets[1] - &sets[0]);
        let (a, b) = (&sets[0], &sets[1]);
        let both = (a & b).len() as u64;
        prop_assert_eq!(masks[0] == masks[1], a == b);
        prop_assert_eq!(all[0].is_subset(all[1]).expect("same"), a.is_subset(b));
        prop_assert_eq!(all[0].is_disjoint(all[1]).expect("same"), a.is_disjoint(b));
        prop_assert_eq!(all[0].intersection_count(all[1]).expect("same"), both);
        prop_assert_eq!(all[0].count(), a.len() as u64);
        prop_assert_eq!(all[0].density(), a.len() as f64 / entries.len() as f64);
        let either = (a | b).len();
        let jaccard = if either == 0 { 1.0 } else { both as f64 / either as f64 };
        prop_assert_eq!(all[0].jaccard(all[1]).expect("same"), jaccard);
        let within = if b.is_empty() { 0.0 } else { both as f64 / b.len() as f64 };
        prop_assert_eq!(all[0].density_within(all[1]).expect("same"), within);
    }

    #[test]
    fn figures_are_counts(case in any_case()) {
        let (universe, _, _, sets) = &case;
        let masks = sets.each_ref().map(|s| mask(universe, s));
        for by in [By::Parameter, By::Layer, By::Role, By::All] {
            let name = |&(p, _): &(usize, u32)| {
                let spec = universe.spec(p);
                match by {
                    By::Parameter => spec.name.clone(),
                    By::Layer => spec.layer.map_or("outside".to_string(), |layer| layer.to_string()),
                    By::Role => spec.role.to_string(),
                    By::All => "all".to_string(),
                }
            };
            let tally = |set: &Set| {
                let mut counts: BTreeMap<String, u64> = BTreeMap::new();
                set.iter().for_each(|e| *counts.entry(name(e)).or_default() += 1);
                counts
            };
            let totals = tally(&everything(universe));
            let (a, b, both) = (tally(&sets[0]), tally(&sets[1]), tally(&(&sets[0] & &sets[1])));
            let rows = masks[0].overlap(&masks[1], by).expect("same");
            prop_assert_eq!(rows.len(), totals.len());
            let of = |counts: &BTreeMap<String, u64>, group: &str| counts.get(group).copied().unwrap_or(0);
            for row in rows {
                let g = row.group.as_str();
                prop_assert_eq!((row.entries, row.first), (totals[g], of(&a, g)));
                prop_assert_eq!((row.second, row.both), (of(&b, g), of(&both, g)));
                let either = row.first + row.second - row.both;
                prop_assert_eq!(row.jaccard(), if either == 0 { 1.0 } else { row.both as f64 / either as f64 });
            }
        }
        // The third set is what may be claimed; the other two claim of it in turn.
        let report = capacity(&[&masks[0], &masks[1]], Some(&masks[2])).expect("same");
        let first = &sets[0] & &sets[2];
        let second = &(&sets[1] & &sets[2]) - &first;
        prop_assert_eq!(&report.newly, &[first.len() as u64, second.len() as u64]);
        prop_assert_eq!(report.total.selected, (first.len() + second.len()) as u64);
        prop_assert_eq!(report.total.entries, sets[2].len() as u64);
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("m.safetensors");
        masks[0].save(&path).expect("saves");
        prop_assert_eq!(&Mask::load(&path, Some(universe)).expect("loads"), &masks[0]);
        for (p, set) in masks[0].sets().iter().enumerate() {
            prop_assert!(masks[0].index(p).expect("fits").iter().eq(set.iter()));
        }
    }

    #[test]
    fn parts_of_matrices_are_where_they_should_be(
        universe in any_universe(), at in any::<[prop::sample::Index; 4]>(), p in any::<prop::sample::Index>(),
    ) {
        let p = p.index(universe.len());
        let (rows, cols) = universe.spec(p).rows_cols();
        let those = |keep: &dyn Fn(usize, usize) -> bool| -> Set {
            (0..rows * cols).filter(|i| keep(i / cols, i % cols)).map(|i| (p, i as u32)).collect()
        };
        let (r, c) = (at[0].index(rows), at[1].index(cols));
        let made = |mask: Result<Mask>| set(&mask.expect("fits"));
        prop_assert_eq!(made(Mask::rows(universe.clone(), &[p], &[r])), those(&|row, _| row == r));
        prop_assert_eq!(made(Mask::columns(universe.clone(), &[p], &[c])), those(&|_, col| col == c));
        let (bottom, right) = (r + at[2].index(rows - r) + 1, c + at[3].index(cols - c) + 1);
        let block = Block { rows: r..bottom, cols: c..right };
        let inside = |row, col| (r..bottom).contains(&row) && (c..right).contains(&col);
        prop_assert_eq!(made(Mask::blocks(universe.clone(), &[p], &[block])), those(&inside));
        prop_assert_eq!(set(&Mask::of_indices(universe.clone(), &[p])), those(&|_, _| true));
        prop_assert_eq!(set(&Mask::of_params(universe.clone(), |spec| spec.name == format!("p{p}"))), those(&|_, _| true));
        prop_assert_eq!(made(Mask::matching(universe.clone(), &[format!("p{p}")])), those(&|_, _| true));
        prop_assert!(Mask::rows(universe.clone(), &[p], &[rows]).is_err());
        prop_assert!(Mask::columns(universe, &[p], &[cols]).is_err());
    }

    #[test]
    fn units_are_ranked_by_their_means(
        universe in any_universe(), seed in any::<u64>(), unit in select(vec![
            Unit::Row, Unit::Column, Unit::Block(1, 1), Unit::Block(2, 3), Unit::Block(64, 1), Unit::Block(100, 100),
        ]), budget in any_budget(), largest in any::<bool>(),
        scope in select(vec![Scope::Global, Scope::PerParameter, Scope::PerLayer]), bounds in any::<(bool, bool)>(),
    ) {
        // Small whole numbers, whose sums are exact in any order; a quarter of them zero.
        let mut rng = Rng::new(seed);
        let values: Vec<Vec<f32>> = universe.specs().iter()
            .map(|spec| (0..spec.entries()).map(|_| rng.below(4) as f32 - rng.below(2) as f32 * 2.0).collect())
            .collect();
        let scores = Values::from_fn(universe.clone(), |p, spec| {
            Ok(Some(Tensor::from_slice(&values[p], spec.shape.clone(), &Device::Cpu)?))
        }).expect("fits");
        // Most units lie within as a whole, and most are to be avoided nowhere.
        let mut some = |odds: u64| everything(&universe).into_iter().filter(|_| rng.below(odds) > 0).collect::<Set>();
        let (a, b) = (some(60), &everything(&universe) - &some(60));
        let (inside, outside) = (mask(&universe, &a), mask(&universe, &b));
        type Members = Vec<(usize, u32)>;
        let mut units: BTreeMap<(usize, usize, usize), (f64, Members)> = BTreeMap::new();
        for (p, i) in everything(&universe) {
            let cols = universe.spec(p).rows_cols().1;
            let (row, col) = (i as usize / cols, i as usize % cols);
            let place = match unit {
                Unit::Row => (p, row, 0),
                Unit::Column => (p, 0, col),
                Unit::Block(height, width) => (p, row / height, col / width),
            };
            let (sum, entries) = units.entry(place).or_default();
            *sum += f64::from(values[p][i as usize].abs());
            entries.push((p, i));
        }
        let mut groups: BTreeMap<_, Vec<(f64, Members)>> = BTreeMap::new();
        for (_, (sum, entries)) in units {
            let units = groups.entry(group(&universe, scope, entries[0])).or_default();
            if !bounds.0 || entries.iter().all(|entry| a.contains(entry)) {
                units.push((sum / entries.len() as f64, entries));
            }
        }
        let nothing = takes_nothing(budget, groups.values().map(|units| units.len() as u64));
        let mut expected = (!nothing).then(Set::new);
        for mut ranked in groups.into_values() {
            let k = budget.of(ranked.len() as u64).expect("in range") as usize;
            ranked.retain(|(_, entries)| !bounds.1 || entries.iter().all(|entry| !b.contains(entry)));
            ranked.sort_by(|a, b| if largest { b.0.total_cmp(&a.0) } else { a.0.total_cmp(&b.0) });
            if k > ranked.len() || largest && ranked[..k].iter().any(|(mean, _)| *mean == 0.0) {
                expected = None;
                break;
            }
            if let Some(expected) = &mut expected {
                expected.extend(ranked[..k].iter().flat_map(|(_, entries)| entries));
            }
        }
        let (within, avoid) = (bounds.0.then_some(&inside), bounds.1.then_some(&outside));
        let found = top_units(&scores, unit, budget, scope, within, avoid, largest, &Host::default());
        match expected {
            Some(expected) => prop_assert_eq!(set(&found.expect("enough")), expected),
            None => prop_assert!(found.is_err()),
        }
    }

    #[test]
    fn a_number_that_is_none_is_refused_wherever_it_lies(
        universe in any_universe(), at in any::<prop::sample::Index>(), scope in any_scope(), k in 0u64..2,
    ) {
        let all: Vec<(usize, u32)> = everything(&universe).into_iter().collect();
        let (p, bad) = all[at.index(all.len())];
        let scores = Values::from_fn(universe.clone(), |i, spec| {
            let mut values = vec![1.0f32; spec.entries() as usize];
            if i == p {
                values[bad as usize] = -f32::NAN;
            }
            Ok(Some(Tensor::from_vec(values, spec.shape.clone(), &Device::Cpu)?))
        }).expect("fits");
        let none = Mask::none(universe.clone());
        let host = Host::default();
        let expected = format!("the scores of parameter p{p} hold a value that is not a number (NaN)");
        // Not even where nothing could be chosen, or nothing is wanted.
        let refused = top(&scores, Budget::Count(0), scope, Some(&none), None, true, &host);
        prop_assert_eq!(text(refused), expected.clone());
        prop_assert_eq!(text(top(&scores, Budget::Count(k), scope, None, None, false, &host)), expected.clone());
        prop_assert_eq!(text(threshold(&scores, 0.0, None, None, &host)), expected.clone());
        prop_assert_eq!(text(nm(&scores, 1, 1, None, None, &host)), expected.clone());
        let units = top_units(&scores, Unit::Row, Budget::Count(1), Scope::Global, None, None, true, &host);
        prop_assert_eq!(text(units), expected);
    }
}
