//! Merge methods: against mergekit's values, and by their laws.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::Arc;

use candle_core::{DType, Device, Tensor};
use lota_runtime::Result;
use lota_runtime::host::{Host, Rng};
use lota_runtime::mask::{Mask, Scores};
use lota_runtime::merge::{
    Config, Float, Held, Info, Input, Overlay, Plan, PlanOptions, Reader, Reference, methods,
};
use lota_runtime::model::{ParamSpec, Params, Role, Universe};
use lota_runtime::ops::Exec;
use lota_runtime::ticket::{Meta, Ticket};
use proptest::prelude::*;
use roaring::RoaringBitmap;
use serde_json::{Value, json};

use crate::common::bits;

/// Named tensors in memory.
struct Tensors {
    label: String,
    float: Float,
    all: BTreeMap<String, (Vec<usize>, Vec<f32>)>,
}

struct Slice<'a>(&'a [f32]);

impl Reader for Slice<'_> {
    fn read<'s>(&'s self, start: usize, len: usize, _: &'s mut Vec<f32>) -> Result<&'s [f32]> {
        Ok(&self.0[start..start + len])
    }
}

impl Input for Tensors {
    fn label(&self) -> &str {
        &self.label
    }
    fn names(&self) -> Vec<String> {
        self.all.keys().cloned().collect()
    }
    fn info(&self, name: &str) -> Option<Info> {
        let (shape, _) = self.all.get(name)?;
        Some(Info { shape: shape.clone(), float: Some(self.float), dtype: self.float.header().to_string() })
    }
    fn reader<'a>(&'a self, name: &str) -> Result<Box<dyn Reader + 'a>> {
        Ok(Box::new(Slice(&self.all[name].1)))
    }
}

type Inputs = Vec<Arc<dyn Input>>;

type Named = BTreeMap<String, (Vec<usize>, Vec<f32>)>;

fn input(label: &str, all: Named) -> Arc<dyn Input> {
    Arc::new(Tensors { label: label.to_string(), float: Float::F32, all })
}

/// One tensor called `w`.
fn single(label: &str, shape: &[usize], values: &[f32]) -> Arc<dyn Input> {
    input(label, BTreeMap::from([("w".to_string(), (shape.to_vec(), values.to_vec()))]))
}

fn universe(of: &dyn Input) -> Arc<Universe> {
    let spec = |name: String| {
        let shape = of.info(&name).expect("there").shape;
        ParamSpec { name, shape, role: Role::Mlp, layer: None }
    };
    Universe::new(of.names().into_iter().map(spec).collect()).expect("valid")
}

fn plan(config: &Value, inputs: &[Arc<dyn Input>]) -> Result<Plan> {
    let config = Config::read(config)?;
    let find = |reference: Reference| {
        inputs.iter().find(|i| i.label() == reference.model).expect("an input of this name").clone()
    };
    let inputs = config.references().into_iter().map(find).collect();
    Plan::new(&config, inputs, None, PlanOptions::default())
}

fn merged(config: &Value, inputs: &[Arc<dyn Input>], seed: u64) -> Result<Params> {
    let universe = universe(inputs[0].as_ref());
    plan(config, inputs)?.params(&universe, DType::F32, seed, &Exec::cpu(), &Host::default())
}

fn values(params: &Params, name: &str) -> Vec<f32> {
    crate::common::values(params.by_name(name).expect("there"))
}

fn w(config: &Value, inputs: &[Arc<dyn Input>]) -> Vec<f32> {
    values(&merged(config, inputs, 0).unwrap_or_else(|e| panic!("{e}: {config}")), "w")
}

fn refusal(config: &Value, inputs: &[Arc<dyn Input>]) -> String {
    match merged(config, inputs, 0) {
        Ok(_) => panic!("not refused: {config}"),
        Err(e) => e.to_string(),
    }
}

/// A configuration of models with the same parameters.
fn config(method: &str, base: Option<&str>, models: &[&str], each: Value, all: Value) -> Value {
    let models: Vec<Value> = models.iter().map(|m| json!({"model": m, "parameters": each})).collect();
    let mut config = json!({"merge_method": method, "models": models, "parameters": all});
    if let Some(base) = base {
        config["base_model"] = json!(base);
    }
    config
}

#[test]
fn methods_give_what_mergekit_gives() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/merges");
    let read = |name: &str| {
        let tensors: HashMap<String, Tensor> =
            candle_core::safetensors::load(folder.join(name), &Device::Cpu).expect("a fixture");
        tensors
    };
    let (inputs, results) = (read("inputs.safetensors"), read("results.safetensors"));
    let mut models: BTreeMap<String, Named> = BTreeMap::new();
    for (name, tensor) in &inputs {
        let (model, name) = name.split_once('/').expect("model/tensor");
        let entry = (tensor.dims().to_vec(), crate::common::values(tensor));
        models.entry(model.to_string()).or_default().insert(name.to_string(), entry);
    }
    let models: Vec<Arc<dyn Input>> = models.into_iter().map(|(label, all)| input(&label, all)).collect();
    let text = std::fs::read_to_string(folder.join("cases.json")).expect("cases");
    let cases: Vec<Value> = serde_json::from_str(&text).expect("JSON");
    assert!(cases.len() >= 40);
    for case in &cases {
        let name = case["case"].as_str().expect("a name");
        let base = case["base"].as_str();
        let mut others = 0;
        let each: Vec<Value> = case["inputs"]
            .as_array()
            .expect("inputs")
            .iter()
            .map(|model| {
                let mut entry = json!({"model": model});
                for (parameter, given) in case["per_input"].as_object().expect("parameters") {
                    // Lists are for the models that have the parameter, in order.
                    if model.as_str() != base {
                        entry["parameters"][parameter] =
                            given.as_array().map_or(given.clone(), |list| list[others].clone());
                    }
                }
                others += usize::from(model.as_str() != base);
                entry
            })
            .collect();
        let mut config =
            json!({"merge_method": case["method"], "models": each, "parameters": case["shared"]});
        if base.is_some() {
            config["base_model"] = case["base"].clone();
        }
        let made = merged(&config, &models, 0).unwrap_or_else(|e| panic!("{name}: {e}"));
        for tensor in ["matrix", "vector"] {
            let expected = crate::common::values(&results[&format!("{name}/{tensor}")]);
            let made = values(&made, tensor);
            let worst = made.iter().zip(&expected).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
            assert!(worst <= 1e-6, "{name}, {tensor}: differs by {worst}");
        }
    }
}

#[test]
fn every_method_says_what_it_is() {
    let all = methods();
    assert_eq!(all.len(), 23);
    for method in all {
        let spec = method.spec();
        assert!(!spec.doc.is_empty() && !spec.source.is_empty(), "{}", spec.name);
        assert!(spec.params.iter().all(|p| !p.doc.is_empty()), "{}", spec.name);
    }
}

/// A base and three models whose task vectors hold zeros, ties and both signs.
fn four(n: usize, seed: u64) -> Vec<Arc<dyn Input>> {
    let mut rng = Rng::new(seed);
    let base: Vec<f32> = (0..n).map(|_| (rng.below(64) as f32 - 32.0) / 64.0).collect();
    let mut all = vec![single("base", &[n], &base)];
    for name in ["a", "b", "c"] {
        let tuned: Vec<f32> = base.iter().map(|b| b + (rng.below(9) as f32 - 4.0) / 128.0).collect();
        all.push(single(name, &[n], &tuned));
    }
    all
}

fn raw(input: &Arc<dyn Input>) -> Vec<f32> {
    let mut scratch = Vec::new();
    let n = input.info("w").expect("there").shape.iter().product();
    input.reader("w").expect("there").read(0, n, &mut scratch).expect("reads").to_vec()
}

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

/// A base and three tickets on it, whose masks share no entry or may.
fn tickets(n: usize, seed: u64, apart: bool) -> (Arc<dyn Input>, Inputs, Vec<Ticket>) {
    let mut rng = Rng::new(seed);
    let base: Vec<f32> = (0..n).map(|_| rng.normal() as f32).collect();
    let base = single("base", &[n], &base);
    let universe = universe(base.as_ref());
    let mut sets = vec![RoaringBitmap::new(); 3];
    for at in 0..n as u32 {
        if apart {
            if let Some(set) = sets.get_mut(rng.below(6) as usize) {
                set.insert(at);
            }
        } else {
            for set in &mut sets {
                if rng.below(2) == 0 {
                    set.insert(at);
                }
            }
        }
    }
    let mut inputs: Vec<Arc<dyn Input>> = Vec::new();
    let mut all = Vec::new();
    for (i, set) in sets.into_iter().enumerate() {
        let values = (0..set.len()).map(|_| rng.normal() as f32).collect();
        let mask = Mask::new(universe.clone(), vec![set]).expect("fits");
        let ticket = Ticket::new(mask, vec![values], Meta::new("base", "test")).expect("fits");
        all.push(ticket.clone());
        inputs
            .push(Arc::new(Overlay::ticket(format!("t{i}"), base.clone(), Arc::new(ticket)).expect("fits")));
    }
    (base, inputs, all)
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
        &crate::merging::config(
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
fn empty_tickets_and_task_vectors_mix_with_models() {
    let n = 40;
    let base: Vec<f32> = (0..n).map(|i| i as f32 / 10.0).collect();
    let tuned: Vec<f32> = base.iter().map(|v| v + 0.5).collect();
    let base = single("base", &[n], &base);
    let universe = universe(base.as_ref());
    let nothing = Mask::new(universe.clone(), vec![RoaringBitmap::new()]).expect("fits");
    let empty = Ticket::new(nothing, vec![Vec::new()], Meta::new("base", "test")).expect("fits");
    let vector = Tensor::full(0.25f32, n, &Device::Cpu).expect("a tensor");
    let vector = Scores::new(universe, vec![Some(vector)]).expect("fits");
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

#[test]
fn what_is_not_finite_is_refused_but_by_what_only_adds() {
    let inputs = [
        single("base", &[3], &[1.0, 2.0, 3.0]),
        single("a", &[3], &[1.0, f32::NAN, 3.0]),
        single("b", &[3], &[1.0, 2.0, f32::INFINITY]),
    ];
    for method in methods() {
        let spec = method.spec();
        if spec.any_values || spec.inputs.1.is_some() || spec.others.1.is_some() {
            continue;
        }
        let text =
            refusal(&config(&spec.name, Some("base"), &["a", "b"], json!({"weight": 1}), json!({})), &inputs);
        assert!(text.starts_with("tensor w of a holds NaN at entry 1"), "{}: {text}", spec.name);
    }
    let made = w(&config("linear", None, &["a", "b"], json!({"weight": 1}), json!({})), &inputs[1..]);
    assert!(made[0] == 1.0 && made[1].is_nan() && made[2].is_infinite());
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
            w(&crate::merging::config("linear", None, &["a", "b"], json!({"weight": 1}), json!({})), &mixed),
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
fn inputs_that_a_method_does_not_take_are_refused() {
    let inputs = four(8, 1);
    let texts: Vec<String> = [
        config("ties", None, &["a", "b"], json!({"weight": 1}), json!({})),
        config("slerp", Some("base"), &["a", "b"], json!({}), json!({"t": 0.5})),
        config("model_stock", Some("base"), &["a"], json!({}), json!({})),
        config("nuslerp", Some("base"), &["a"], json!({"weight": 1}), json!({})),
        config("passthrough", None, &["a", "b"], json!({}), json!({})),
        config("linear", None, &["a", "a"], json!({"weight": 1}), json!({})),
        config("linear", Some("base"), &["a"], json!({"weight": 1}), json!({})),
        config("linear", None, &["a", "b"], json!({"weight": 0}), json!({})),
        config("tise", Some("base"), &["a"], json!({}), json!({})),
    ]
    .iter()
    .map(|config| refusal(config, &inputs))
    .collect();
    assert_eq!(
        texts,
        [
            "ties needs a base model: say base_model",
            "slerp takes exactly 2 models, and is given 3",
            "model_stock takes at least 3 models, and is given 2",
            "nuslerp takes exactly 2 models besides the base, and is given 1",
            "passthrough takes exactly 1 model, and is given 2",
            "linear is given a twice",
            "parameter \"weight\" of base is not set for w, and has no default: how much of the model goes in",
            "linear: the weights for w add up to 0, and cannot be normalized: change them, or set normalize to false",
            "no merge method is called \"tise\"; did you mean \"ties\"?; known are linear, slerp, nuslerp, multislerp, \
             karcher, task_arithmetic, ties, dare_linear, dare_ties, della, della_linear, breadcrumbs, breadcrumbs_ties, \
             sce, model_stock, nearswap, arcee_fusion, ram, ramplus_tl, passthrough, disjoint, overlap_ties, magmax",
        ]
    );
}

#[test]
fn unknown_keys_are_refused_with_the_nearest() {
    let inputs = four(8, 1);
    let mut texts = Vec::new();
    for config in [
        json!({"merge_methd": "ties", "models": [{"model": "a"}]}),
        json!({"merge_method": "ties", "base_model": "base", "models": [{"modle": "a"}]}),
        json!({"merge_method": "ties", "base_model": "base", "models": [{"model": "a", "parameters": {"wieght": 1}}]}),
        json!({"merge_method": "ties", "base_model": "base", "models": [{"model": "a"}], "slices": [{}]}),
        json!({"merge_method": "ties", "base_model": "base", "models": [{"model": "a"}], "dtype": "int4"}),
        json!({"merge_method": "linear", "slices": [{"sources": [{"model": "a", "layer_range": [2, 1]}]}]}),
        json!({"merge_method": "linear", "models": [{"model": "a"}], "tokenizer": {"source": "base", "pad": 8}}),
    ] {
        texts.push(refusal(&config, &inputs));
    }
    assert_eq!(
        texts,
        [
            "the configuration: unknown key \"merge_methd\"; did you mean \"merge_method\"?",
            "models[0]: unknown key \"modle\"; did you mean \"model\"?",
            "models[0].parameters: unknown parameter \"wieght\"; did you mean \"weight\"?",
            "exactly one of models, slices and modules must be there, and models and slices are",
            "dtype \"int4\" is not known: use float32, bfloat16 or float16",
            "slices[0].sources[0]: layer_range must be [first, one after the last]",
            "tokenizer: unknown key \"pad\"; known are source, tokens, pad_to_multiple_of",
        ]
    );
}

#[test]
fn tensors_that_do_not_fit_are_named_before_any_work() {
    let inputs = [
        single("a", &[4, 2], &[0.0; 8]),
        single("b", &[2, 4], &[0.0; 8]),
        input("c", BTreeMap::from([("v".to_string(), (vec![8], vec![0.0; 8]))])),
    ];
    let linear = |models: &[&str]| config("linear", None, models, json!({"weight": 1}), json!({}));
    assert_eq!(
        refusal(&linear(&["a", "b"]), &inputs),
        "these models cannot be merged: w has shape [4, 2] in a and [2, 4] in b"
    );
    let text = refusal(&linear(&["a", "c"]), &inputs);
    assert_eq!(
        text,
        "these models cannot be merged, for 2 reasons:\n  - a has no tensor v\n  - c has no tensor w"
    );
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
