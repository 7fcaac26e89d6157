//! Files in formats of others that are damaged or say what cannot be: an error that names the file, and no more memory
//! than the file can fill.

use std::path::Path;

use candle_core::{DType, Device, Tensor as Weights};
use proptest::prelude::*;
use serde_json::json;

use super::tensors::{Tensor, save};
use super::*;
use crate::host::Room;
use crate::mask::Mask;
use crate::model::{ParamSpec, Role, Universe};

fn params() -> Params {
    let spec = |name: &str, shape: &[usize], role| ParamSpec {
        name: name.into(),
        shape: shape.into(),
        role,
        layer: None,
    };
    let specs = vec![
        spec("model.layers.0.mlp.up_proj.weight", &[4, 6], Role::Mlp),
        spec("model.norm.weight", &[6], Role::Norm),
        spec("lm_head.weight", &[5, 6], Role::Head),
    ];
    let universe = Universe::new(specs).expect("valid");
    let ones = |spec: &ParamSpec| Weights::ones(spec.shape.clone(), DType::F32, &Device::Cpu).expect("ones");
    let tensors = universe.specs().iter().map(ones).collect();
    Params::new(universe, tensors).expect("fits")
}

const UP: &str = "model.layers.0.mlp.up_proj.weight";

/// A tensor of these bytes.
fn tensor<'a>(name: &str, dtype: &'static str, shape: &[usize], bytes: Vec<u8>) -> Tensor<'a> {
    Tensor {
        name: name.into(),
        dtype,
        shape: shape.to_vec(),
        write: Box::new(move |out| out.write_all(&bytes)),
    }
}

fn ints(numbers: &[i32]) -> Vec<u8> {
    numbers.iter().flat_map(|n| n.to_le_bytes()).collect()
}

fn patch(encoding: &'static str) -> Vec<(&'static str, &'static str)> {
    vec![("format", "sparse_weight_patch"), ("version", "1"), ("sparse", "True"), ("encoding", encoding)]
}

/// Why a patch of these tensors is refused.
fn refused(texts: &[(&str, &str)], tensors: Vec<Tensor<'_>>) -> String {
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("patch");
    save(&path, texts, tensors, &Host::default()).expect("writes");
    let (exec, params) = (Exec::cpu(), params());
    let base = Base { exec: &exec, params: &params, name: "base" };
    let error = Foreign::Trl.read(&path, Some(base), &Host::default()).expect_err("is refused").to_string();
    error.strip_prefix(&format!("{}: ", path.display())).expect("names the file").to_string()
}

#[test]
fn patches_that_cannot_be_are_refused_by_what_is_wrong() {
    let pair = |dtype, numbers: &[i32]| {
        let n = numbers.len();
        let width = if dtype == "U16" { 2 } else { 4 };
        let bytes = ints(numbers).chunks(4).flat_map(|b| b[..width].to_vec()).collect();
        vec![
            tensor(&format!("{UP}.idx"), dtype, &[n], bytes),
            tensor(&format!("{UP}.val"), "BF16", &[n], vec![0; 2 * n]),
        ]
    };
    for (encoding, dtype, numbers, expected) in [
        ("raw", "I32", [3, 3], "do not rise: 3 comes after 3"),
        ("raw", "I32", [3, 1], "do not rise: 1 comes after 3"),
        ("raw", "I32", [-1, 1], "do not rise: -1 comes after -1"),
        ("raw", "I32", [0, 24], "go past its end: 24 of 24 entries"),
        ("gap_delta", "U16", [0, 23], "go past its end: 24 of 24 entries"),
        ("gap_delta", "U32", [0, -1], "go past its end: 4294967296 of 24 entries"),
        ("gap_delta", "I32", [0, 1], "are I32, and U16 or U32 in the encoding gap_delta"),
        ("raw", "U32", [0, 1], "are U32, and I32 in the encoding raw"),
    ] {
        let reason = refused(&patch(encoding), pair(dtype, &numbers));
        assert_eq!(reason, format!("the positions of parameter {UP} {expected}"), "{encoding} {numbers:?}");
    }
    let good = || pair("I32", &[0, 23]);
    let with = |key, value| {
        let mut texts = patch("raw");
        texts.retain(|(known, _)| *known != key);
        texts.push((key, value));
        refused(&texts, good())
    };
    assert!(with("sparse", "False").starts_with("holds whole weights (an anchor)"));
    assert_eq!(with("version", "2"), "is a patch of version 2, and version 1 is read");
    assert!(with("encoding", "nvcomp_cascaded").contains("in the encoding \"nvcomp_cascaded\""));
    assert!(with("format", "other").starts_with("is no patch of TRL's"));
    assert!(
        with("total_changed_elements", "3").contains("have 3 for total_changed_elements, and there are 2")
    );
    assert!(
        with("shapes", "{\"lm_head.weight\": [6, 5]}")
            .contains("of shape [6, 5], which has [5, 6] in the base")
    );
    assert!(with("lota", "{}").starts_with("is damaged: its metadata under \"lota\""));
    let lone = |name: &str| refused(&patch("raw"), vec![tensor(name, "I32", &[1], ints(&[0]))]);
    assert!(lone(&format!("{UP}.idx")).contains(&format!("and no {UP}.val")));
    assert!(lone(&format!("{UP}.val")).contains(&format!("and no {UP}.idx")));
    assert!(lone("what").contains("a tensor what, which is of no patch"));
    let mut tensors = good();
    tensors.push(tensor("up.val", "BF16", &[1], vec![0; 2]));
    assert!(
        refused(&patch("raw"), tensors).starts_with("does not fit the base: no parameter is called \"up\"")
    );
    let uneven = vec![
        tensor(&format!("{UP}.idx"), "I32", &[2], ints(&[0, 1])),
        tensor(&format!("{UP}.val"), "BF16", &[1], vec![0; 2]),
    ];
    assert!(refused(&patch("raw"), uneven).contains("positions of shape [2] and values of shape [1]"));
}

/// Why the folder of an adapter is refused.
fn refused_adapter(config: serde_json::Value, tensors: Vec<Tensor<'_>>) -> String {
    let dir = tempfile::tempdir().expect("a folder");
    std::fs::write(dir.path().join("adapter_config.json"), config.to_string()).expect("writes");
    save(&dir.path().join("adapter_model.safetensors"), &[], tensors, &Host::default()).expect("writes");
    let (exec, params) = (Exec::cpu(), params());
    let base = Base { exec: &exec, params: &params, name: "base" };
    let read = |format: Foreign| format.read(dir.path(), Some(base), &Host::default());
    let error = match Foreign::of(dir.path()) {
        Ok(Some(format)) => read(format).expect_err("is refused"),
        Ok(None) => panic!("a folder is an adapter"),
        Err(e) => e,
    };
    error.to_string()
}

#[test]
fn adapters_that_cannot_be_are_refused_by_what_is_wrong() {
    let name = |end: &str| format!("base_model.model.model.layers.0.mlp.up_proj.{end}");
    let shira = |rows: &[i32], cols: &[i32]| {
        let n = rows.len();
        vec![
            tensor(&name("shira_indices"), "I32", &[2, n], [ints(rows), ints(cols)].concat()),
            tensor(&name("shira_weight"), "F32", &[n], vec![0; 4 * n]),
        ]
    };
    let of = |settings: serde_json::Value| {
        let mut config = json!({"peft_type": "SHIRA", "r": 1});
        config.as_object_mut().expect("an object").extend(settings.as_object().expect("one").clone());
        config
    };
    for (rows, cols, at) in [([0, 4], [0, 0], 1), ([0, 0], [6, 0], 0), ([-1, 0], [0, 0], 0)] {
        let reason = refused_adapter(of(json!({})), shira(&rows, &cols));
        let expected = format!(
            "position {at} of layer model.layers.0.mlp.up_proj is not one of the 4 x 6 entries of its weight"
        );
        assert!(reason.ends_with(&expected), "{reason}");
    }
    let good = || shira(&[0, 3], &[0, 5]);
    let with = |settings| refused_adapter(of(settings), good());
    assert!(
        with(json!({"peft_type": "LORA"})).contains("of an adapter of type LORA, which is no sparse change")
    );
    assert!(with(json!({"fan_in_fan_out": true})).contains("fan_in_fan_out: "));
    assert!(with(json!({"a_new_one": 3})).contains("a_new_one: is a setting that this lota does not know"));
    assert!(with(json!({"peft_type": "SUPERTUNING", "r": 4})).contains("it has factors of low rank"));
    let lone = |end: &str, dtype| {
        let (shape, bytes): (&[usize], _) = if dtype == "I32" { (&[2, 1], 8) } else { (&[1], 4) };
        refused_adapter(of(json!({})), vec![tensor(&name(end), dtype, shape, vec![0; bytes])])
    };
    assert!(lone("shira_weight", "F32").contains("the positions were not saved"));
    assert!(lone("shira_indices", "I32").contains("and no base_model.model"));
    assert!(lone("shira_other", "F32").contains("is of a kind that is not read"));
    assert!(lone("bias", "F32").contains("no parameter is called"));
    let mut tensors = good();
    tensors.push(tensor("base_model.model.model.norm.weight", "F32", &[5], vec![0; 20]));
    assert!(
        refused_adapter(of(json!({})), tensors).contains("has shape [5], and parameter model.norm.weight")
    );
    tensors = vec![tensor("weight", "F32", &[5], vec![0; 20])];
    assert!(refused_adapter(of(json!({})), tensors).contains("does not begin with base_model.model."));
}

#[test]
fn memory_is_asked_for_before_it_is_taken() {
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("patch");
    let tensors = vec![
        tensor(&format!("{UP}.idx"), "I32", &[20], ints(&(0..20).collect::<Vec<_>>())),
        tensor(&format!("{UP}.val"), "BF16", &[20], vec![0; 40]),
    ];
    save(&path, &patch("raw"), tensors, &Host::default()).expect("writes");
    let (exec, params) = (Exec::cpu(), params());
    let base = Base { exec: &exec, params: &params, name: "base" };
    let room =
        Room::new(|bytes| if bytes > 100 { Err(crate::host::Error::argument("no room")) } else { Ok(()) });
    let host = Host { room, ..Host::default() };
    assert_eq!(Foreign::Trl.read(&path, Some(base), &host).expect_err("no room").to_string(), "no room");
}

#[test]
fn a_file_without_an_entry_and_one_of_all_are_read() {
    let (exec, params) = (Exec::cpu(), params());
    let base = Base { exec: &exec, params: &params, name: "base" };
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("patch");
    save(&path, &patch("raw"), Vec::new(), &Host::default()).expect("writes");
    let none = Foreign::Trl.read(&path, Some(base), &Host::default()).expect("reads");
    assert_eq!(none.entries(), 0);
    assert!(none.save_foreign(&path, Foreign::Trl, None, None, &Host::default()).is_err());
    let mask = Mask::all(params.universe().clone());
    let values = params.universe().specs().iter().map(|spec| vec![2.0; spec.entries() as usize]).collect();
    let meta = Meta::new(params.fingerprint(&exec).expect("hashes"), "test");
    let all = Ticket::new(mask, values, meta).expect("fits");
    for to in [Foreign::Trl, Foreign::Vllm] {
        all.save_foreign(&path, to, None, None, &Host::default()).expect("writes");
        let back = Foreign::Trl.read(&path, Some(base), &Host::default()).expect("reads");
        assert_eq!((back.mask(), back.values(0)), (all.mask(), all.values(0)));
    }
    let mut values: Vec<Vec<f32>> = (0..3).map(|i| all.values(i).to_vec()).collect();
    values[1][4] = f32::NAN;
    let nan = Ticket::new(all.mask().clone(), values, all.meta().clone()).expect("fits");
    let error = nan.save_foreign(&path, Foreign::Vllm, None, None, &Host::default()).expect_err("NaN");
    assert_eq!(
        error.to_string(),
        "parameter model.norm.weight is to hold NaN at entry 4, which vLLM refuses"
    );
}

fn read(format: Foreign, path: &Path) -> Result<Ticket> {
    let (exec, params) = (Exec::cpu(), params());
    format.read(path, Some(Base { exec: &exec, params: &params, name: "base" }), &Host::default())
}

proptest! {
    /// Whatever is changed in a file, it is read as a ticket that fits the base or refused.
    #[test]
    fn changed_bytes_are_refused_or_another_change(
        at in any::<prop::sample::Index>(), byte in any::<u8>(), cut in any::<prop::sample::Index>(), gaps in any::<bool>(),
        numbers in proptest::collection::vec(any::<i32>(), 4),
    ) {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("patch");
        let dtype = if gaps { "U32" } else { "I32" };
        let tensors = vec![
            tensor(&format!("{UP}.idx"), dtype, &[4], ints(&numbers)),
            tensor(&format!("{UP}.val"), "BF16", &[4], vec![0; 8]),
        ];
        save(&path, &patch(if gaps { "gap_delta" } else { "raw" }), tensors, &Host::default()).expect("writes");
        let _ = read(Foreign::Trl, &path);
        let bytes = std::fs::read(&path).expect("reads");
        let mut changed = bytes.clone();
        changed[at.index(bytes.len())] ^= byte;
        for damaged in [changed, bytes[..cut.index(bytes.len())].to_vec()] {
            std::fs::write(&path, damaged).expect("writes");
            let _ = Foreign::of(&path);
            let _ = read(Foreign::Trl, &path);
        }
    }
}
