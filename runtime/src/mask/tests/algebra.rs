//! The laws of the algebra, and the figures.

use super::*;

fn not(mask: &Mask) -> Mask {
    complement(mask, None).expect("no other model")
}

fn or(a: &Mask, b: &Mask) -> Mask {
    union(&[a, b]).expect("same model")
}

fn and(a: &Mask, b: &Mask) -> Mask {
    intersection(&[a, b]).expect("same model")
}

fn minus(a: &Mask, b: &Mask) -> Mask {
    difference(&[a, b]).expect("same model")
}

fn xor(a: &Mask, b: &Mask) -> Mask {
    symmetric_difference(&[a, b]).expect("same model")
}

proptest! {
    #[test]
    fn the_algebra_is_boolean(a in any_mask(), b in any_mask(), c in any_mask()) {
        let (all, none) = (Mask::all(universe()), Mask::none(universe()));
        prop_assert_eq!(or(&a, &b), or(&b, &a));
        prop_assert_eq!(and(&a, &b), and(&b, &a));
        prop_assert_eq!(or(&or(&a, &b), &c), or(&a, &or(&b, &c)));
        prop_assert_eq!(and(&and(&a, &b), &c), and(&a, &and(&b, &c)));
        prop_assert_eq!(and(&a, &or(&b, &c)), or(&and(&a, &b), &and(&a, &c)));
        prop_assert_eq!(or(&a, &and(&b, &c)), and(&or(&a, &b), &or(&a, &c)));
        prop_assert_eq!(not(&or(&a, &b)), and(&not(&a), &not(&b)));
        prop_assert_eq!(not(&and(&a, &b)), or(&not(&a), &not(&b)));
        prop_assert_eq!(or(&a, &and(&a, &b)), a.clone());
        prop_assert_eq!(not(&not(&a)), a.clone());
        prop_assert_eq!(or(&a, &not(&a)), all.clone());
        prop_assert_eq!(and(&a, &not(&a)), none.clone());
        prop_assert_eq!(or(&a, &none), a.clone());
        prop_assert_eq!(and(&a, &all), a.clone());
        prop_assert_eq!(minus(&a, &b), and(&a, &not(&b)));
        prop_assert_eq!(xor(&a, &b), or(&minus(&a, &b), &minus(&b, &a)));
        prop_assert_eq!(xor(&xor(&a, &b), &b), a.clone());
        prop_assert_eq!(complement(&a, Some(&b)).expect("same model"), minus(&b, &a));
    }

    #[test]
    fn many_masks_at_once_are_as_one_by_one(masks in proptest::collection::vec(any_mask(), 1..6)) {
        let all: Vec<&Mask> = masks.iter().collect();
        let fold = |f: fn(&Mask, &Mask) -> Mask| masks[1..].iter().fold(masks[0].clone(), |a, b| f(&a, b));
        prop_assert_eq!(union(&all).expect("same"), fold(or));
        prop_assert_eq!(intersection(&all).expect("same"), fold(and));
        prop_assert_eq!(difference(&all).expect("same"), fold(minus));
        prop_assert_eq!(symmetric_difference(&all).expect("same"), fold(xor));
    }

    #[test]
    fn figures_agree_with_the_sets(a in any_mask(), b in any_mask()) {
        let both = and(&a, &b);
        let either = or(&a, &b);
        prop_assert_eq!(a.intersection_count(&b).expect("same"), both.count());
        prop_assert_eq!(a.count() + b.count(), both.count() + either.count());
        prop_assert_eq!(a.is_disjoint(&b).expect("same"), both.is_empty());
        prop_assert_eq!(a.is_subset(&b).expect("same"), both == a);
        prop_assert!(both.is_subset(&a).expect("same") && a.is_subset(&either).expect("same"));
        let expected = if either.is_empty() { 1.0 } else { both.count() as f64 / either.count() as f64 };
        prop_assert_eq!(a.jaccard(&b).expect("same"), expected);
        for by in [By::Parameter, By::Layer, By::Role, By::All] {
            let rows = a.overlap(&b, by).expect("same");
            prop_assert_eq!(rows.iter().map(|r| r.both).sum::<u64>(), both.count());
            prop_assert_eq!(rows.iter().map(|r| r.entries).sum::<u64>(), universe().entries());
            let counts: Vec<u64> = a.by(by).iter().map(|c| c.selected).collect();
            prop_assert_eq!(counts, rows.iter().map(|r| r.first).collect::<Vec<_>>());
        }
        let capacity = capacity(&[&a, &b], None).expect("same");
        let adaptable = Mask::of_params(universe(), ParamSpec::adaptable);
        let claimed = and(&adaptable, &either).count();
        prop_assert_eq!(capacity.total.selected, claimed);
        prop_assert_eq!(capacity.newly.iter().sum::<u64>(), claimed);
        prop_assert_eq!(capacity.newly[0], and(&adaptable, &a).count());
        prop_assert_eq!(capacity.layers.iter().map(|c| c.selected).sum::<u64>(), claimed);
    }
}

#[test]
fn figures_are_grouped_in_the_order_of_the_model() {
    let mask = Mask::of_params(universe(), ParamSpec::adaptable);
    let groups = |by| -> Vec<String> { mask.by(by).into_iter().map(|c| c.group).collect() };
    assert_eq!(groups(By::Layer), ["outside", "0", "1"]);
    assert_eq!(groups(By::Role), ["embed", "attention", "mlp", "norm", "bias"]);
    assert_eq!(groups(By::All), ["all"]);
    assert_eq!(mask.count(), 80);
    assert_eq!(mask.density(), 80.0 / 116.0);
    let report = capacity(&[&mask, &mask], None).expect("same");
    assert_eq!(report.newly, [80, 0]);
    assert_eq!(report.free(), 0.0);
    assert_eq!(report.roles.iter().map(|c| c.group.as_str()).collect::<Vec<_>>(), ["attention", "mlp"]);
}

#[test]
fn masks_of_different_models_do_not_meet() {
    let mut specs = universe().specs().to_vec();
    specs[3].shape = vec![8, 4];
    let other = Mask::none(Universe::new(specs).expect("valid"));
    let mask = Mask::none(universe());
    let expected = "not of the same model: parameter model.layers.0.mlp.up_proj.weight has shape [6, 4] in one \
                    and [8, 4] in the other";
    assert_eq!(text(union(&[&mask, &other])), expected);
    assert_eq!(text(mask.jaccard(&other)), expected);
    assert_eq!(text(mask.overlap(&other, By::All)), expected);
    assert!(mask != other);
    assert_eq!(text(union(&[])), "at least one mask is needed, so that it is known of which model");
}

#[test]
fn an_entry_past_the_end_is_refused() {
    let mut sets = vec![RoaringBitmap::new(); universe().len()];
    sets[2].insert(4);
    assert_eq!(
        text(Mask::new(universe(), sets)),
        "entry 4 is past the end of parameter model.layers.0.self_attn.q_proj.bias, which has 4 entries"
    );
    assert_eq!(
        text(Mask::new(universe(), Vec::new())),
        "a mask of this model needs 7 sets, one for each parameter, and got 0"
    );
}
