//! Tests of adapters, against sums of products in f64.

use std::path::Path;
use std::sync::Arc;

use candle_core::{DType, Device};
use serde_json::{Value, json};

use super::*;
use crate::host::container::{self, Declared};
use crate::host::{Host, Rng};
use crate::mask::Mask;
use crate::model::{ParamSpec, Params, Role, Universe};
use crate::ops::Exec;
use crate::ticket::{Meta, Ticket};
use crate::vectors::Values;

mod extract;

const Q: &str = "model.layers.0.self_attn.q_proj";
const K: &str = "model.layers.1.self_attn.k_proj";
const UP: &str = "model.layers.0.mlp.up_proj";
const EMBED: &str = "model.embed_tokens";

fn universe() -> Arc<Universe> {
    let spec = |module: &str, end: &str, shape: &[usize], role, layer| ParamSpec {
        name: format!("{module}.{end}"),
        shape: shape.to_vec(),
        role,
        layer,
    };
    Universe::new(vec![
        spec(EMBED, "weight", &[9, 6], Role::Embed, None),
        spec(Q, "weight", &[6, 6], Role::Attention, Some(0)),
        spec(Q, "bias", &[6], Role::Bias, Some(0)),
        spec(UP, "weight", &[10, 6], Role::Mlp, Some(0)),
        spec(K, "weight", &[4, 6], Role::Attention, Some(1)),
        spec("model.norm", "weight", &[6], Role::Norm, None),
        spec("lm_head", "weight", &[9, 6], Role::Head, None),
    ])
    .expect("valid")
}

fn params(dtype: DType) -> Params {
    let mut rng = Rng::new(1);
    let universe = universe();
    let tensors = universe.specs().iter().map(|spec| {
        let values: Vec<f32> = (0..spec.entries()).map(|_| rng.normal() as f32).collect();
        let tensor = Tensor::from_vec(values, spec.shape.clone(), &Device::Cpu).expect("fits");
        tensor.to_dtype(Params::dtype_of(spec.role, dtype)).expect("converts")
    });
    Params::new(universe.clone(), tensors.collect()).expect("fits")
}

fn flat(tensor: &Tensor) -> Vec<f32> {
    tensor.flatten_all().and_then(|t| t.to_dtype(DType::F32)?.to_vec1()).expect("floats")
}

/// A tensor of a file: name, shape, values.
type Stored = (String, Vec<usize>, Vec<f32>);

/// Values with some spread, the same for the same name.
fn stored(name: &str, shape: &[usize]) -> Stored {
    let mut rng = Rng::new(7).fork(name);
    let values = (0..shape.iter().product()).map(|_| rng.normal() as f32).collect();
    (format!("base_model.model.{name}"), shape.to_vec(), values)
}

fn factors(module: &str, out: usize, inner: usize, rank: usize) -> [Stored; 2] {
    [
        stored(&format!("{module}.lora_A.weight"), &[rank, inner]),
        stored(&format!("{module}.lora_B.weight"), &[out, rank]),
    ]
}

fn write(folder: &Path, config: &Value, tensors: &[Stored]) {
    std::fs::create_dir_all(folder).expect("a folder");
    std::fs::write(folder.join("adapter_config.json"), config.to_string()).expect("writes");
    let headers: Vec<Declared<'_>> = tensors
        .iter()
        .map(|(name, shape, values)| Declared { name, dtype: "F32", shape, bytes: 4 * values.len() as u64 })
        .collect();
    let path = folder.join("adapter_model.safetensors");
    let mut bytes = Vec::new();
    container::write::<crate::Error>(&mut bytes, &path, &[("format", "pt")], &headers, |i, out| {
        let values: Vec<u8> = tensors[i].2.iter().flat_map(|v| v.to_le_bytes()).collect();
        out.write_all(&values).map_err(|e| crate::Error::io(&path, e))
    })
    .expect("writes");
    std::fs::write(&path, bytes).expect("writes");
}

/// The product of two matrices of a file, in f64, times a scale.
fn product(b: &Stored, a: &Stored, scale: f64) -> Vec<f64> {
    let (out, rank, inner) = (b.1[0], b.1[1], a.1[1]);
    let entry = |i: usize, j: usize| -> f64 {
        (0..rank).map(|k| f64::from(b.2[i * rank + k]) * f64::from(a.2[k * inner + j])).sum::<f64>() * scale
    };
    (0..out * inner).map(|at| entry(at / inner, at % inner)).collect()
}

fn transposed(values: &[f64], rows: usize) -> Vec<f64> {
    let cols = values.len() / rows;
    (0..values.len()).map(|at| values[(at % rows) * cols + at / rows]).collect()
}

fn near(got: &[f32], expected: &[f64], within: f64) {
    assert_eq!(got.len(), expected.len());
    for (i, (got, expected)) in got.iter().zip(expected).enumerate() {
        assert!((f64::from(*got) - expected).abs() <= within, "entry {i}: {got}, not {expected}");
    }
}

fn config(more: Value) -> Value {
    let mut config = json!({"peft_type": "LORA", "r": 2, "lora_alpha": 3, "target_modules": "all-linear"});
    for (key, value) in more.as_object().expect("an object") {
        config[key] = value.clone();
    }
    config
}

#[test]
fn changes_are_scaled_products_in_every_setting() {
    let exec = Exec::cpu();
    let dir = tempfile::tempdir().expect("a folder");
    let q = factors(Q, 6, 6, 2);
    let wide = factors(K, 4, 6, 4);
    // Settings, and the scales of q (rank 2) and k (rank 4) that follow.
    let settings = [
        (json!({"rank_pattern": {"k_proj": 4}}), 3.0 / 2.0, 3.0 / 4.0),
        (json!({"use_rslora": true, "rank_pattern": {"k_proj": 4}}), 3.0 / 2f64.sqrt(), 3.0 / 2.0),
        (
            json!({"rank_pattern": {"layers.1.self_attn.k_proj": 4}, "alpha_pattern": {"k_proj": 5, "q_proj": 1.5}}),
            0.75,
            1.25,
        ),
        // The first pattern that matches counts, and a part of a name is no match.
        (json!({"rank_pattern": {"_proj": 7, r".*\.1\..*": 4, "k_proj": 9}}), 1.5, 0.75),
    ];
    for (more, of_q, of_k) in settings {
        write(dir.path(), &config(more.clone()), &[q.clone(), wide.clone()].concat());
        let adapter = Adapter::load(dir.path()).expect("loads");
        assert_eq!(adapter.modules.len(), 2);
        assert_eq!(adapter.values(), 24 + 40);
        let params = params(DType::F32);
        let vector = adapter.task_vector(&exec, &params).expect("fits");
        for (module, factors, scale) in [(Q, &q, of_q), (K, &wide, of_k)] {
            let index = universe().get(&format!("{module}.weight")).expect("is there");
            let expected = product(&factors[1], &factors[0], scale);
            near(&flat(vector.part(index).expect("changed").tensor()), &expected, 1e-5);
        }
        assert_eq!(vector.present().count(), 2, "{more}");
    }
}

#[test]
fn transposed_weights_embeddings_and_whole_parameters() {
    let exec = Exec::cpu();
    let dir = tempfile::tempdir().expect("a folder");
    // Stored as [in, out], the up projection maps 10 to 6.
    let up = factors(UP, 6, 10, 2);
    write(dir.path(), &config(json!({"fan_in_fan_out": true})), &up);
    let vector =
        Adapter::load(dir.path()).and_then(|a| a.task_vector(&exec, &params(DType::F32))).expect("fits");
    let expected = transposed(&product(&up[1], &up[0], 1.5), 6);
    near(&flat(vector.part(3).expect("changed").tensor()), &expected, 1e-5);

    let embedding = [
        stored(&format!("{EMBED}.lora_embedding_A"), &[2, 9]),
        stored(&format!("{EMBED}.lora_embedding_B"), &[6, 2]),
    ];
    let norm = stored("model.norm.weight", &[6]);
    let bias = stored(&format!("{Q}.bias"), &[6]);
    let tensors = [&embedding[..], &[norm.clone(), bias.clone()]].concat();
    write(dir.path(), &config(json!({"bias": "all", "modules_to_save": ["norm"]})), &tensors);
    let adapter = Adapter::load(dir.path()).expect("loads");
    for dtype in [DType::F32, DType::BF16] {
        let params = params(dtype);
        let before: Vec<Vec<f32>> = params.tensors().iter().map(flat).collect();
        adapter.apply(&exec, &params, 0.5).expect("applies");
        let delta = transposed(&product(&embedding[1], &embedding[0], 1.5), 6);
        let expected: Vec<f64> = before[0].iter().zip(&delta).map(|(w, d)| f64::from(*w) + 0.5 * d).collect();
        let most = expected.iter().fold(0.0, |m: f64, v| m.max(v.abs()));
        // bf16 keeps eight bits, and the result is rounded once.
        near(&flat(params.get(0)), &expected, if dtype == DType::BF16 { most / 256.0 } else { 1e-5 });
        for (index, new) in [(5, &norm.2), (2, &bias.2)] {
            let half: Vec<f64> =
                before[index].iter().zip(new).map(|(a, b)| (f64::from(*a) + f64::from(*b)) / 2.0).collect();
            near(&flat(params.get(index)), &half, 1e-6);
        }
        // The rest keeps its bits.
        for index in [1, 3, 4, 6] {
            assert_eq!(flat(params.get(index)), before[index]);
        }
    }
}

#[test]
fn an_adapter_comes_back_from_its_folder() {
    let exec = Exec::cpu();
    let dir = tempfile::tempdir().expect("a folder");
    let tensors =
        [&factors(Q, 6, 6, 2)[..], &factors(K, 4, 6, 3), &[stored("model.norm.weight", &[6])]].concat();
    let settings = config(
        json!({"use_rslora": true, "rank_pattern": {"k_proj": 3}, "alpha_pattern": {"q_proj": 0.5}, "modules_to_save": ["norm"]}),
    );
    write(dir.path(), &settings, &tensors);
    let adapter = Adapter::load(dir.path()).expect("loads");
    let copy = dir.path().join("copy");
    adapter.save(&copy, DType::F32, &Host::default()).expect("saves");
    let again = Adapter::load(&copy).expect("loads");
    let params = params(DType::F32);
    let vectors = [&adapter, &again].map(|a| a.task_vector(&exec, &params).expect("fits"));
    for (a, b) in vectors[0].parts().iter().zip(vectors[1].parts()) {
        let flat = |part: &Option<crate::vectors::Part>| part.as_ref().map(|part| flat(part.tensor()));
        assert_eq!(flat(a), flat(b));
    }
    // As peft names them.
    let header = std::fs::read(copy.join("adapter_model.safetensors")).expect("reads");
    let text = String::from_utf8_lossy(&header).into_owned();
    for name in
        [format!("\"base_model.model.{Q}.lora_A.weight\""), "\"base_model.model.model.norm.weight\"".into()]
    {
        assert!(text.contains(&name), "{name}");
    }
}

#[test]
fn sums_are_exact() {
    let exec = Exec::cpu();
    let dir = tempfile::tempdir().expect("a folder");
    let both = [&factors(Q, 6, 6, 2)[..], &factors(K, 4, 6, 2)].concat();
    write(&dir.path().join("a"), &config(json!({})), &both);
    write(&dir.path().join("b"), &config(json!({"r": 3, "lora_alpha": 1})), &factors(Q, 6, 6, 3));
    let [a, b] = ["a", "b"].map(|n| Adapter::load(&dir.path().join(n)).expect("loads"));
    let sum = Adapter::sum(&[(&a, 2.0), (&b, -0.5)]).expect("fits");
    assert_eq!(sum.modules.iter().map(Module::rank).collect::<Vec<_>>(), [5, 2]);
    // It is written and read like any other.
    let folder = dir.path().join("sum");
    sum.save(&folder, DType::F32, &Host::default()).expect("saves");
    let sum = Adapter::load(&folder).expect("loads");
    let params = params(DType::F32);
    let [va, vb, vs] = [&a, &b, &sum].map(|a| a.task_vector(&exec, &params).expect("fits"));
    for index in [1, 4] {
        let of = |v: &Values| v.part(index).map_or(vec![0.0; 36], |part| flat(part.tensor()));
        let expected: Vec<f64> =
            of(&va).iter().zip(of(&vb)).map(|(a, b)| 2.0 * f64::from(*a) - 0.5 * f64::from(b)).collect();
        near(&of(&vs), &expected, 1e-5);
    }
    let none = Adapter::sum(&[]).expect_err("of nothing").to_string();
    assert_eq!(none, "a sum of adapters needs at least one");
}

fn refusal(folder: &Path) -> String {
    let text = Adapter::load(folder).expect_err("must be refused").to_string();
    text.strip_prefix(&format!("{}/", folder.display())).expect("names the file").to_string()
}

#[test]
fn other_kinds_are_refused_by_name() {
    let dir = tempfile::tempdir().expect("a folder");
    let q = factors(Q, 6, 6, 2);
    for (more, reason) in [
        (json!({"peft_type": "LOHA"}), "is an adapter of type LOHA; only LORA is read"),
        (json!({"use_dora": true}), "use_dora: uses DoRA, which is not read"),
        (json!({"lora_bias": true}), "lora_bias: uses a bias in its factors, which is not read"),
        (
            json!({"target_parameters": ["experts.up"]}),
            "target_parameters: uses parameters outside linear modules, which is not read",
        ),
        (
            json!({"use_xlora": {"depth": 2}}),
            "use_xlora: is a setting that this lota does not know, and it is set to {\"depth\":2}",
        ),
        (
            json!({"init_lora_weights": "pissa_niter_4"}),
            "init_lora_weights: pissa_niter_4 changes the base before training, and this adapter is a change of that: let peft \
             convert it to a plain LoRA (path_initial_model_for_weight_conversion)",
        ),
        (json!({"r": 0}), "r: a rank is a whole number from 1 on, and 0 is not"),
        (json!({"alpha_pattern": {"q_proj": "x"}}), "alpha_pattern: \"x\" is not a number"),
    ] {
        write(dir.path(), &config(more), &q);
        assert_eq!(refusal(dir.path()), format!("adapter_config.json: {reason}"));
    }
    // What peft would leave out of the model is not put in.
    for left_out in [
        json!({"target_modules": ["k_proj", "proj"]}),
        json!({"target_modules": ".*[.]k_proj"}),
        json!({"target_modules": ["q_proj"], "layers_to_transform": [1]}),
        json!({"layers_to_transform": 3}),
    ] {
        write(dir.path(), &config(left_out), &q);
        assert!(
            refusal(dir.path()).contains("leave out: peft would not apply it"),
            "{}",
            refusal(dir.path())
        );
    }
    for named in [
        json!({"target_modules": ["k_proj", "q_proj"]}),
        json!({"target_modules": [Q]}),
        json!({"target_modules": ".*[.][qk]_proj", "layers_to_transform": [0, 1]}),
        json!({"target_modules": "a pattern that only (?Python) reads"}),
    ] {
        write(dir.path(), &config(named), &q);
        Adapter::load(dir.path()).expect("loads");
    }
    // What only says how it was trained is no matter.
    let trained = json!({
        "lora_dropout": 0.1, "init_lora_weights": "gaussian", "layers_to_transform": [0], "peft_version": "0.18.0",
        "eva_config": {"rho": 2.0}, "use_dora": false, "megatron_core": "megatron.core", "something_new": false, "bias": "none",
    });
    write(dir.path(), &config(trained), &q);
    Adapter::load(dir.path()).expect("loads");
}

#[test]
fn files_that_do_not_fit_are_refused_with_the_reason() {
    let dir = tempfile::tempdir().expect("a folder");
    let q = factors(Q, 6, 6, 2);
    write(dir.path(), &config(json!({"r": 4})), &q);
    assert_eq!(
        refusal(dir.path()),
        format!(
            "adapter_model.safetensors: module {Q} has factors of shapes [2, 6] and [6, 2], and the configuration gives it rank 4"
        )
    );
    write(dir.path(), &config(json!({})), &q[..1]);
    assert_eq!(
        refusal(dir.path()),
        format!("adapter_model.safetensors: module {Q} has only one of its two factors")
    );
    write(dir.path(), &config(json!({})), &[stored(&format!("{Q}.lora_magnitude_vector"), &[6])]);
    assert_eq!(
        refusal(dir.path()),
        format!(
            "adapter_model.safetensors: tensor base_model.model.{Q}.lora_magnitude_vector is of a kind of LoRA that is not read"
        )
    );
    write(dir.path(), &config(json!({})), &[]);
    assert_eq!(refusal(dir.path()), "adapter_model.safetensors: holds no factors");
    std::fs::remove_file(dir.path().join("adapter_model.safetensors")).expect("was there");
    std::fs::write(dir.path().join("adapter_model.bin"), "x").expect("writes");
    assert_eq!(
        refusal(dir.path()),
        "adapter_model.bin: is a pickle, which is not read: have peft save the adapter as safetensors"
    );
}

#[test]
fn an_adapter_of_another_model_is_refused_and_changes_nothing() {
    let exec = Exec::cpu();
    let dir = tempfile::tempdir().expect("a folder");
    let params = params(DType::F32);
    let before: Vec<Vec<f32>> = params.tensors().iter().map(flat).collect();
    let refused = |tensors: &[Stored], reason: &str| {
        write(dir.path(), &config(json!({})), tensors);
        let adapter = Adapter::load(dir.path()).expect("loads");
        let text = adapter.apply(&exec, &params, 1.0).expect_err("another model").to_string();
        assert_eq!(text, reason);
        assert_eq!(params.tensors().iter().map(flat).collect::<Vec<_>>(), before);
    };
    // The first module would fit.
    let q = factors(Q, 6, 6, 2);
    refused(
        &[&q[..], &factors(K, 4, 8, 2)].concat(),
        "the adapter is of another model: it changes a [4, 8] weight in module model.layers.1.self_attn.k_proj, and \
         parameter model.layers.1.self_attn.k_proj.weight has shape [4, 6]",
    );
    refused(
        &[&q[..], &factors("model.layers.1.self_attn.v_proj", 4, 6, 2)].concat(),
        "the adapter is of another model: it changes module model.layers.1.self_attn.v_proj, and no parameter is called \
         \"model.layers.1.self_attn.v_proj.weight\"; did you mean \"model.layers.1.self_attn.k_proj.weight\"?",
    );
}

#[test]
fn a_change_of_the_vocabulary_is_refused_where_embedding_and_head_are_one() {
    let dir = tempfile::tempdir().expect("a folder");
    let specs = universe().specs().iter().filter(|spec| spec.name != "lm_head.weight").cloned().collect();
    let tied = Universe::new(specs).expect("valid");
    let embedding = [
        stored(&format!("{EMBED}.lora_embedding_A"), &[2, 9]),
        stored(&format!("{EMBED}.lora_embedding_B"), &[6, 2]),
    ];
    let whole = [stored(&format!("{EMBED}.weight"), &[9, 6])];
    let both = "is the head too (tie_word_embeddings): a change of one would be a change of both. Apply it to model:untied()";
    let head = "which in this model is the embedding (tie_word_embeddings): a change of one would be a change of both";
    for (saved, tensors, said) in [
        (json!({}), &embedding[..], both),
        (json!({"modules_to_save": ["embed_tokens"]}), &whole, both),
        (json!({}), &factors("lm_head", 9, 6, 2), head),
    ] {
        write(dir.path(), &config(saved), tensors);
        let adapter = Adapter::load(dir.path()).expect("loads");
        assert!(adapter.changes_vocabulary());
        let text = adapter.check(&tied).expect_err("they are one weight").to_string();
        assert!(text.contains(said), "{text}");
        adapter.check(&universe()).expect("they are two");
    }
}
