//! Selection against a plain sort, and its refusals.

use super::*;
use crate::host::Host;

/// All candidates as (group, magnitude, parameter, entry).
fn candidates(scores: &Values, scope: Scope, within: &Mask, avoid: &Mask) -> Vec<(String, f32, usize, u32)> {
    let mut found = Vec::new();
    for (p, spec) in universe().specs().iter().enumerate() {
        let Some(tensor) = scores.part(p).map(Part::tensor) else { continue };
        let values = tensor.flatten_all().and_then(|t| t.to_vec1::<f32>()).expect("f32");
        let cols = spec.rows_cols().1;
        for (i, value) in values.iter().enumerate() {
            let group = match scope {
                Scope::Global => String::new(),
                Scope::PerParameter => spec.name.clone(),
                Scope::PerLayer => spec.layer.map_or(spec.name.clone(), |layer| layer.to_string()),
                Scope::PerRow => format!("{} {}", spec.name, i / cols),
            };
            if within.set(p).contains(i as u32) && !avoid.set(p).contains(i as u32) {
                found.push((group, value.abs(), p, i as u32));
            }
        }
    }
    found
}

/// Selection as one would write it first: sort everything, take the first of each group.
fn naive(mut all: Vec<(String, f32, usize, u32)>, k: u64, largest: bool) -> Option<Mask> {
    let key = |v: f32| if largest { -v } else { v };
    all.sort_by(|a, b| a.0.cmp(&b.0).then(key(a.1).total_cmp(&key(b.1))).then((a.2, a.3).cmp(&(b.2, b.3))));
    let mut sets = vec![RoaringBitmap::new(); universe().len()];
    for group in all.chunk_by(|a, b| a.0 == b.0) {
        if (group.len() as u64) < k {
            return None;
        }
        for (_, value, p, i) in &group[..k as usize] {
            if largest && *value == 0.0 && (group.len() as u64) > k {
                return None;
            }
            sets[*p].insert(*i);
        }
    }
    Some(Mask::new(universe(), sets).expect("fits"))
}

fn any_scope() -> impl Strategy<Value = Scope> {
    prop::sample::select(vec![Scope::Global, Scope::PerParameter, Scope::PerLayer, Scope::PerRow])
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn selection_is_a_sort_without_the_sort(
        scores in any_scores(), scope in any_scope(), within in any_mask(), avoid in any_mask(),
        limits in any::<(bool, bool)>(), largest in any::<bool>(), k in 0u64..12,
    ) {
        let (all, none) = (Mask::all(universe()), Mask::none(universe()));
        let chosen = top(
            &scores, Budget::Count(k), scope, limits.0.then_some(&within), limits.1.then_some(&avoid), largest,
            &Host::default(),
        );
        let within = if limits.0 { &within } else { &all };
        let avoid = if limits.1 { &avoid } else { &none };
        let candidates = candidates(&scores, scope, within, avoid);
        match naive(candidates, k, largest) {
            Some(expected) => {
                // A group without any candidate is absent from the plain sort; asking it for more is an error.
                if let Ok(chosen) = chosen { prop_assert_eq!(chosen, expected) } else { prop_assert!(k > 0) }
            }
            None => prop_assert!(chosen.is_err()),
        }
    }

    #[test]
    fn threshold_and_support_are_comparisons(scores in any_scores(), above in 0.0f32..1.5, within in any_mask()) {
        let host = Host::default();
        let none = Mask::none(universe());
        let expected = |above: f32, within: &Mask| {
            let mut sets = vec![RoaringBitmap::new(); universe().len()];
            for (_, value, p, i) in candidates(&scores, Scope::Global, within, &none) {
                if value > above {
                    sets[p].insert(i);
                }
            }
            Mask::new(universe(), sets).expect("fits")
        };
        prop_assert_eq!(threshold(&scores, above, Some(&within), None, &host).expect("numbers"), expected(above, &within));
        let support = support(&scores, &host).expect("numbers");
        prop_assert_eq!(nonzero(&scores, &host).expect("numbers"), support.count());
        prop_assert_eq!(support, expected(0.0, &Mask::all(universe())));
    }

    #[test]
    fn n_of_m_keeps_n_of_every_m(scores in any_scores(), n in 0usize..=2) {
        let mask = nm(&scores, n, 2, None, None, &Host::default()).expect("four columns");
        for (p, spec) in universe().specs().iter().enumerate() {
            let Some(tensor) = scores.part(p).map(Part::tensor) else { prop_assert!(mask.set(p).is_empty()); continue };
            let values = tensor.flatten_all().and_then(|t| t.to_vec1::<f32>()).expect("f32");
            for start in (0..spec.entries() as u32).step_by(2) {
                prop_assert_eq!(mask.set(p).range_cardinality(start..start + 2), n as u64);
                if n == 1 {
                    let second = values[start as usize + 1].abs() > values[start as usize].abs();
                    prop_assert!(mask.set(p).contains(start + u32::from(second)));
                }
            }
        }
    }
}

/// One parameter of several pieces and one small one, with ties across all of them.
fn wide() -> (Arc<Universe>, Vec<f32>) {
    let spec = |name: &str, shape: &[usize]| ParamSpec {
        name: name.to_string(),
        shape: shape.to_vec(),
        role: Role::Mlp,
        layer: Some(0),
    };
    let universe = Universe::new(vec![spec("a", &[1000, 701]), spec("b", &[301, 100])]).expect("valid");
    let mut rng = crate::host::Rng::new(3);
    let value = |_| if rng.below(4) == 0 { 0.25 } else { (rng.normal() * 1e-3) as f32 };
    (universe.clone(), (0..universe.entries()).map(value).collect())
}

/// The tensors of dense values.
fn tensors(values: &Values) -> Vec<Option<Tensor>> {
    values.parts().iter().map(|part| part.as_ref().map(|part| part.tensor().clone())).collect()
}

pub(super) fn of_values(universe: &Arc<Universe>, values: &[f32]) -> Values {
    let mut rest = values;
    Values::from_fn(universe.clone(), |_, spec| {
        let (here, behind) = rest.split_at(spec.entries() as usize);
        rest = behind;
        Ok(Some(Tensor::from_slice(here, spec.shape.clone(), &Device::Cpu)?))
    })
    .expect("fits")
}

#[test]
fn pieces_of_large_parameters_join_exactly() {
    let (universe, values) = wide();
    let scores = of_values(&universe, &values);
    let first = universe.spec(0).entries() as usize;
    for (k, largest) in [(100_000, true), (183_000, true), (500_000, true), (650_000, false), (7, false)] {
        let mut order: Vec<usize> = (0..values.len()).collect();
        let key = |i: usize| if largest { -values[i].abs() } else { values[i].abs() };
        order.sort_by(|&a, &b| key(a).total_cmp(&key(b)).then(a.cmp(&b)));
        let mut sets = vec![RoaringBitmap::new(); 2];
        for &i in &order[..k] {
            if i < first {
                sets[0].insert(i as u32)
            } else {
                sets[1].insert((i - first) as u32)
            };
        }
        let budget = Budget::Count(k as u64);
        let chosen =
            top(&scores, budget, Scope::Global, None, None, largest, &Host::default()).expect("enough");
        assert_eq!(chosen, Mask::new(universe.clone(), sets).expect("fits"));
        // The same from scores that lie in another type's clothes, and from what is not in a given mask.
        let rest = complement(&chosen, None).expect("same");
        let left = values.len() as u64 - chosen.count();
        let host = Host::default();
        let others = top(&scores, Budget::Count(left), Scope::Global, None, Some(&chosen), false, &host)
            .expect("enough");
        assert_eq!(others, rest);
    }
}

#[test]
fn density_counts_what_lies_within_but_not_what_is_avoided() {
    let (universe, values) = wide();
    let scores = of_values(&universe, &values);
    let host = Host::default();
    let select = |d, within: Option<&Mask>, avoid: Option<&Mask>| {
        top(&scores, Budget::Density(d), Scope::Global, within, avoid, true, &host).expect("enough")
    };
    let first = select(0.1, None, None);
    assert_eq!(first.count(), 73_110);
    let second = select(0.1, None, Some(&first));
    assert_eq!(second.count(), 73_110);
    assert!(first.is_disjoint(&second).expect("same"));
    let third = select(0.1, Some(&first), None);
    assert_eq!(third.count(), 7_311);
    assert!(third.is_subset(&first).expect("same"));
    let rows = top(&scores, Budget::Density(0.1), Scope::PerRow, None, None, true, &host).expect("enough");
    assert_eq!(rows.count(), 1000 * 70 + 301 * 10);
}

#[test]
fn a_difference_needs_no_tensor_of_its_own() {
    let (universe, values) = wide();
    let after = of_values(&universe, &values);
    let before = after.map(|_, t| Ok((t * 0.5)?)).expect("maps");
    let delta = after.zip(&before, |_, a, b| Ok((a - b)?)).expect("zips");
    let lazy = Delta::new(universe.clone(), tensors(&after), tensors(&before)).expect("the same shapes");
    let select = |source: &dyn Source| {
        top(source, Budget::Density(0.3), Scope::PerParameter, None, None, true, &Host::default())
            .expect("enough")
    };
    assert_eq!(select(&delta), select(&lazy));
    let generated = Generated::new(universe.clone(), &[0, 1], |p, start, out: &mut [f32]| {
        let from = start + if p == 1 { 701_000 } else { 0 };
        out.copy_from_slice(&values[from..from + out.len()]);
    });
    assert_eq!(select(&after), select(&generated));
    let narrow = after.map(|_, t| Ok(t.to_dtype(candle_core::DType::BF16)?)).expect("maps");
    let wide = narrow.map(|_, t| Ok(t.to_dtype(candle_core::DType::F32)?)).expect("maps");
    assert_eq!(select(&narrow), select(&wide));
}

#[test]
fn refusals_say_what_there_is() {
    let values: Vec<f32> = (0..116).map(|i| if i % 29 == 0 { 1.0 } else { 0.0 }).collect();
    let host = Host::default();
    let scores = of_values(&universe(), &values);
    let ask = |k, scope, largest| text(top(&scores, Budget::Count(k), scope, None, None, largest, &host));
    assert_eq!(
        ask(5, Scope::Global, true),
        "asked for the 5 largest scores, but only 4 of 116 are not zero: ask for fewer, or calibrate for longer, \
         or in f32 (in bf16 small changes round away)"
    );
    for (k, scope) in [(116, Scope::Global), (28, Scope::PerParameter), (1000, Scope::PerParameter)] {
        let all = top(&scores, Budget::Count(k), scope, None, None, true, &host);
        match k {
            116 => assert_eq!(all.expect("all of them").count(), 116),
            _ => assert!(all.is_err(), "{k}: parameters differ in size"),
        }
    }
    let all = top(&scores, Budget::Density(1.0), Scope::PerRow, None, None, true, &host);
    assert_eq!(all.expect("all of them").count(), 116);
    assert_eq!(ask(117, Scope::Global, false), "asked for 117 entries, but only 116 may be selected");
    assert_eq!(
        ask(2, Scope::PerParameter, true),
        "asked for the 2 largest scores of parameter model.embed_tokens.weight, but only 1 of 28 are not zero: ask \
         for fewer, or calibrate for longer, or in f32 (in bf16 small changes round away)"
    );
    assert_eq!(
        ask(5, Scope::PerRow, false),
        "asked for 5 entries of row 0 of parameter model.embed_tokens.weight, but only 4 may be selected"
    );
    let density = top(&scores, Budget::Density(1.5), Scope::Global, None, None, true, &host);
    assert_eq!(text(density), "a density lies between 0 and 1, and 1.5 does not");
    assert_eq!(
        text(Scope::parse("rows")),
        "\"rows\" is no scope: use \"global\", \"parameter\", \"layer\" or \"row\""
    );
    assert_eq!(
        text(By::parse("x")),
        "\"x\" is no grouping: use \"parameter\", \"layer\", \"role\" or \"all\""
    );

    let mut bad = values;
    bad[30] = f32::NAN;
    bad[100] = f32::NAN;
    let bad = of_values(&universe(), &bad);
    let nan = "the scores of parameter model.layers.0.self_attn.q_proj.weight hold a value that is not a number (NaN)";
    for scope in [Scope::Global, Scope::PerParameter, Scope::PerLayer, Scope::PerRow] {
        assert_eq!(text(top(&bad, Budget::Count(0), scope, None, None, true, &host)), nan);
    }
    assert_eq!(text(threshold(&bad, 0.5, None, None, &host)), nan);
    assert_eq!(text(nm(&bad, 1, 2, None, None, &host)), nan);
    assert_eq!(
        text(nm(&bad, 3, 2, None, None, &host)),
        "3:2 is no pattern: of m neighbours (at least 1) keep n (at most m)"
    );
    assert_eq!(
        text(nm(&scores, 1, 3, None, None, &host)),
        "parameter model.embed_tokens.weight has 4 columns, which cannot be cut into groups of 3"
    );

    let mut shapes = vec![None; 7];
    shapes[1] = Some(Tensor::zeros((2, 8), candle_core::DType::F32, &Device::Cpu).expect("zeros"));
    assert_eq!(
        text(Values::new(universe(), shapes)),
        "values: parameter model.layers.0.self_attn.q_proj.weight needs shape [4, 4], and its tensor has [2, 8]"
    );
}

#[test]
fn a_cancelled_selection_stops() {
    let host = Host::default();
    host.cancel.cancel();
    let scores = of_values(&universe(), &[1.0; 116]);
    assert_eq!(text(top(&scores, Budget::Count(1), Scope::Global, None, None, true, &host)), "cancelled");
}

#[test]
fn whole_rows_columns_and_blocks_are_ranked_by_their_mean() {
    // Entries of each parameter count up from 0, so that later rows and columns are larger.
    let scores = Values::from_fn(universe(), |_, spec| {
        let values: Vec<f32> = (0..spec.entries()).map(|i| -(i as f32)).collect();
        let tensor = Tensor::from_vec(values, spec.shape.clone(), &Device::Cpu)?;
        Ok(spec.adaptable().then_some(tensor))
    })
    .expect("fits");
    let host = Host::default();
    let units = |unit, k, scope, largest| {
        top_units(&scores, unit, Budget::Count(k), scope, None, None, largest, &host)
    };
    let entries = |mask: Result<Mask>, p: usize| mask.expect("enough").set(p).iter().collect::<Vec<_>>();
    let rows = units(Unit::Row, 3, Scope::Global, true);
    // Ties of the two layers go to the first: rows 5, 5 and then 4 of the first.
    assert_eq!(entries(rows, 3), (16..24).collect::<Vec<_>>());
    assert_eq!(entries(units(Unit::Row, 3, Scope::Global, true), 5), (20..24).collect::<Vec<_>>());
    assert_eq!(entries(units(Unit::Row, 1, Scope::PerParameter, true), 1), [12, 13, 14, 15]);
    assert_eq!(entries(units(Unit::Column, 1, Scope::PerParameter, false), 1), [0, 4, 8, 12]);
    let blocks = units(Unit::Block(4, 3), 1, Scope::PerParameter, true);
    // The last block is cut at both edges: rows 4 and 5, column 3.
    assert_eq!(entries(blocks, 3), [19, 23]);
    assert_eq!(
        text(units(Unit::Column, 17, Scope::PerLayer, false)),
        "asked for 17 units of layer 0, but only 8 may be selected"
    );
    assert_eq!(text(units(Unit::Block(0, 3), 1, Scope::Global, true)), "a block of 0 by 3 has no entries");
}

#[test]
fn budgets_of_parameters_are_those_of_their_groups() {
    let scores = of_values(&universe(), &(1..=116).map(|i| i as f32).collect::<Vec<_>>());
    let (host, universe) = (Host::default(), universe());
    // The embedding, the two layers (three parameters and two) and the norm.
    let layered = |norm| {
        let of = |layer: Option<usize>| match layer {
            Some(layer) => Some(Budget::Count(layer as u64 + 1)),
            None => norm,
        };
        Budgets::Each(universe.specs().iter().map(|spec| of(spec.layer)).collect())
    };
    let ask = |budgets: &Budgets, scope| top(&scores, budgets.clone(), scope, None, None, true, &host);
    let chosen = ask(&layered(Some(Budget::Density(0.5))), Scope::PerLayer).expect("enough");
    let by: Vec<u64> = chosen.sets().iter().map(RoaringBitmap::len).collect();
    assert_eq!(by, [14, 0, 0, 1, 0, 2, 2]);
    let rows = ask(&layered(Some(Budget::Density(0.5))), Scope::PerRow).expect("enough");
    assert_eq!(rows.sets().iter().map(RoaringBitmap::len).collect::<Vec<_>>(), [14, 4, 1, 6, 8, 12, 2]);
    assert_eq!(
        text(ask(&layered(None), Scope::PerLayer)),
        "parameter model.embed_tokens.weight has no density or count: give every parameter that is chosen from one"
    );
    assert_eq!(
        text(ask(&layered(Some(Budget::Density(0.5))), Scope::Global)),
        "parameters model.embed_tokens.weight and model.layers.0.self_attn.q_proj.weight share one budget in this scope, but \
         have a density of 0.5 and a count of 1: give them the same, or use the scope \"parameter\""
    );
    // Where nothing lies within, no budget is missed.
    let layers = Mask::matching(universe.clone(), &["model.layers.*"]).expect("matches");
    let within =
        top(&scores, layered(None), Scope::PerLayer, Some(&layers), None, true, &host).expect("enough");
    assert_eq!(within.count(), 3);
    let drawn = random(&layers, None, layered(None), Scope::PerLayer, &mut crate::host::Rng::new(1), &host);
    assert_eq!(drawn.expect("enough").count(), 3);
}
