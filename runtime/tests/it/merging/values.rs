//! What becomes of values: types and their rounding, what is not finite, degenerate directions, threads.

use std::collections::BTreeMap;
use std::sync::Arc;

use candle_core::{DType, Device, Tensor};
use lota_runtime::host::{Host, Rng};
use lota_runtime::merge::{Base, Float, Held, Input, methods};
use lota_runtime::model::Params;
use lota_runtime::ops::Exec;
use serde_json::json;

use super::{Tensors, config, four, plan, raw, refusal, single, universe, w};
use crate::common::bits;

#[test]
fn models_that_did_not_move_leave_the_base() {
    let base: Vec<f32> = (0..50).map(|i| i as f32 / 7.0).collect();
    let inputs: Vec<_> = ["base", "a", "b"].iter().map(|l| single(l, &[5, 10], &base)).collect();
    for (method, each, all) in [
        ("task_arithmetic", json!({"weight": 0.5}), json!({})),
        ("ties", json!({"weight": 0.5, "density": 0.2}), json!({"rescale": true})),
        ("breadcrumbs_ties", json!({"weight": 0.5, "density": 0.2}), json!({})),
        ("dare_ties", json!({"weight": 0.5, "density": 0.2}), json!({})),
        ("della", json!({"weight": 0.5, "density": 0.5}), json!({})),
        ("sce", json!({}), json!({"select_topk": 0.5})),
        ("model_stock", json!({}), json!({})),
        ("model_stock", json!({}), json!({"filter_wise": true})),
        ("nuslerp", json!({"weight": 1}), json!({})),
        ("multislerp", json!({"weight": 1}), json!({})),
        ("ram", json!({}), json!({})),
        ("ramplus_tl", json!({}), json!({})),
        ("disjoint", json!({}), json!({})),
        ("overlap_ties", json!({}), json!({})),
        ("magmax", json!({}), json!({})),
    ] {
        let made = w(&config(method, Some("base"), &["a", "b"], each, all), &inputs);
        let worst = made.iter().zip(&base).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert_eq!(worst, 0.0, "{method}");
    }
}

#[test]
fn what_is_not_finite_is_refused_by_every_method() {
    let inputs = [
        single("base", &[3], &[1.0, 2.0, 3.0]),
        single("a", &[3], &[1.0, f32::NAN, 3.0]),
        single("b", &[3], &[1.0, 2.0, f32::INFINITY]),
    ];
    for method in methods() {
        let spec = method.spec();
        let (base, models): (_, &[&str]) = match (spec.base, spec.inputs.1) {
            (_, Some(1)) => (None, &["a"]),
            (Base::Required, Some(2)) => (Some("base"), &["base", "a"]),
            (Base::Ignored, _) => (None, &["a", "b"]),
            _ => (Some("base"), &["a", "b"]),
        };
        let config = config(&spec.name, base, models, json!({"weight": 1}), json!({"t": 0.5}));
        let text = refusal(&config, &inputs);
        assert!(text.starts_with("tensor w of a holds NaN at entry 1"), "{}: {text}", spec.name);
    }
}

#[test]
fn finite_inputs_never_become_infinite_or_nan() {
    let inputs = [
        single("base", &[3], &[1.0, 2.0, 3.0]),
        single("a", &[3], &[3.0, 1e30, 3.0]),
        single("b", &[3], &[1.0, -1e30, 4.0]),
    ];
    let with = |method: &str, base: Option<&str>, each, all| {
        let mut config = config(method, base, &["a", "b"], each, all);
        config["name"] = json!("first");
        refusal(&config, &inputs)
    };
    let sums = json!({"normalize": false});
    assert_eq!(
        with("linear", None, json!({"weight": 1e9}), sums.clone()),
        "step \"first\": tensor w: linear makes NaN at entry 1 of inputs that are finite: its weights or other parameters \
         are too large"
    );
    let text = with("task_arithmetic", Some("base"), json!({"weight": 1e20}), json!({"lambda": 1e20}));
    assert!(
        text.contains("tensor w: task_arithmetic makes inf at entry 0 of inputs that are finite"),
        "{text}"
    );
    // An infinite task vector has no sign to vote with: what is elected could be finite again, and wrong.
    for method in ["ties", "overlap_ties"] {
        let text = with(method, Some("base"), json!({"weight": 1e20}), json!({}));
        assert!(
            text.contains("tensor w: the weight 100000000000000000000 makes a task vector larger"),
            "{text}"
        );
    }
    assert_eq!(
        with("linear", None, json!({"weight": 1e300}), sums.clone()),
        "parameter \"weight\": 1e300 is more than float32 holds, as which merges are computed"
    );
    // Each is a number, and their sum, by which results are divided, is not: all would become 0.
    assert_eq!(
        with("linear", None, json!({"weight": 3e38}), json!({})),
        "the weights for w add up to 6e38, more than float32 holds, as which merges are computed"
    );
}

#[test]
fn what_the_model_cannot_hold_is_refused() {
    let inputs = [single("a", &[2], &[1.0, 3.4e38])];
    let plan = plan(&config("passthrough", None, &["a"], json!({}), json!({})), &inputs).expect("plans");
    let held = |dtype| {
        let universe = universe(inputs[0].as_ref());
        plan.params(&universe, dtype, 0, &Exec::cpu(), &Host::default()).map(drop)
    };
    held(DType::F32).expect("f32 holds it");
    let text = held(DType::BF16).expect_err("bf16 does not").to_string();
    assert!(text.contains("more than bfloat16, as which the model is held, can hold"), "{text}");
}

#[test]
fn halves_are_merged_as_f32_and_rounded_once() {
    let round = |float: Float, mut v: Vec<f32>| {
        float.round(&mut v);
        v
    };
    let mut rng = Rng::new(4);
    let mut random = |n: usize| (0..n).map(|_| rng.normal() as f32).collect::<Vec<f32>>();
    for float in [Float::BF16, Float::F16] {
        let (a, b) = (round(float, random(500)), round(float, random(500)));
        let of = |label: &str, v: &[f32], float| -> Arc<dyn Input> {
            let all = BTreeMap::from([("w".to_string(), (vec![500], v.to_vec()))]);
            Arc::new(Tensors { label: label.to_string(), float, all })
        };
        let inputs = [of("a", &a, float), of("b", &b, float)];
        let mut config = config("linear", None, &["a", "b"], json!({"weight": 1}), json!({}));
        let exact: Vec<f32> = a.iter().zip(&b).map(|(a, b)| (a + b) / 2.0).collect();
        assert_eq!(w(&config, &inputs), round(float, exact.clone()), "in their own type");
        config["out_dtype"] = json!("float32");
        assert_eq!(w(&config, &inputs), exact, "as f32");
        config["dtype"] = json!("float32");
        assert_eq!(w(&config, &inputs), exact);
        let mixed = [of("a", &a, float), of("b", &b, Float::F32)];
        assert_eq!(
            w(&super::config("linear", None, &["a", "b"], json!({"weight": 1}), json!({})), &mixed),
            exact
        );
    }
}

#[test]
fn angles_of_zero_and_of_half_a_turn_are_straight() {
    let a = single("a", &[2], &[1.0, 2.0]);
    let twice = single("b", &[2], &[2.0, 4.0]);
    let back = single("b", &[2], &[-1.0, -2.0]);
    let slerp = |b: &Arc<dyn Input>| {
        w(&config("slerp", Some("a"), &["a", "b"], json!({}), json!({"t": 0.25})), &[a.clone(), b.clone()])
    };
    assert_eq!(slerp(&twice), [1.25, 2.5]);
    assert_eq!(slerp(&back), [0.5, 1.0]);
    let nuslerp = |b: &Arc<dyn Input>| {
        w(&config("nuslerp", None, &["a", "b"], json!({"weight": 1}), json!({})), &[a.clone(), b.clone()])
    };
    assert_eq!(nuslerp(&twice), [1.5, 3.0]);
    assert_eq!(nuslerp(&back), [0.0, 0.0]);
    let zero = single("b", &[2], &[0.0, 0.0]);
    assert!(slerp(&zero).iter().all(|v| v.is_finite()));
    assert!(
        w(&config("karcher", None, &["a", "b"], json!({}), json!({})), &[a.clone(), zero])
            .iter()
            .all(|v| v.is_finite())
    );
    let cancel = refusal(
        &json!({"merge_method": "multislerp", "models": [
            {"model": "a", "parameters": {"weight": 1}}, {"model": "b", "parameters": {"weight": 0.5}},
            {"model": "c", "parameters": {"weight": 0.5}},
        ]}),
        &[a, back.clone(), single("c", &[2], &raw(&back))],
    );
    assert!(cancel.contains("cancel out"), "{cancel}");
}

#[test]
fn held_models_are_inputs_on_any_number_of_threads() {
    let universe = universe(four(70_000, 2)[0].as_ref());
    let held = |label: &str, seed: u64| -> Arc<dyn Input> {
        let mut rng = Rng::new(seed);
        let values: Vec<f32> = (0..70_000).map(|_| rng.normal() as f32).collect();
        let tensor = Tensor::from_vec(values, 70_000, &Device::Cpu).expect("a tensor");
        Arc::new(Held::new(label, Params::new(universe.clone(), vec![tensor]).expect("fits"), None))
    };
    let inputs = [held("base", 0), held("a", 1), held("b", 2)];
    for method in ["ties", "dare_ties", "karcher", "sce", "model_stock"] {
        let parameters = json!({"weight": 1, "density": 0.3});
        let config = config(method, Some("base"), &["a", "b"], parameters, json!({}));
        let on = |threads| {
            let exec = Exec::new(Device::Cpu, threads).expect("threads");
            let made = plan(&config, &inputs).expect("plans").params(
                &universe,
                DType::F32,
                1,
                &exec,
                &Host::default(),
            );
            bits(made.expect("merges").get(0))
        };
        assert_eq!(on(1), on(4), "{method}");
    }
}

#[test]
fn what_a_half_cannot_hold_is_refused_and_not_made_infinite() {
    let inputs = [single("base", &[3], &[0.0; 3]), single("a", &[3], &[1.0, -70_000.0, 2.0])];
    let mut config = config("task_arithmetic", Some("base"), &["a"], json!({"weight": 1}), json!({}));
    config["out_dtype"] = json!("float16");
    assert_eq!(
        refusal(&config, &inputs),
        "w: -70000 is more than float16 can hold, and would become infinite: set out_dtype to bfloat16 or float32"
    );
    config["out_dtype"] = json!("float32");
    config["dtype"] = json!("float16");
    assert_eq!(
        refusal(&config, &inputs),
        "w of a: -70000 is more than float16 can hold, and would become infinite: set dtype to bfloat16 or float32"
    );
    config["dtype"] = json!("bfloat16");
    assert_eq!(w(&config, &inputs), [1.0, -70_144.0, 2.0]);
}
