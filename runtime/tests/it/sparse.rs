//! Sparse changes as peft saved them and in TRL's layout, against the weights that peft and torch make of them (see
//! `fixtures/make_sparse.py`).

use std::path::{Path, PathBuf};

use lota_runtime::host::Host;
use lota_runtime::model::{LoadOptions, Model, load};
use lota_runtime::ticket::{Base, Foreign, Stack, Ticket};
use safetensors::SafeTensors;

fn folder(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name)
}

fn model() -> Model {
    load(&folder("lora/base").to_string_lossy(), &LoadOptions::default(), &Host::default()).expect("loads")
}

fn base(model: &Model) -> Base<'_> {
    Base { exec: &model.exec, params: &model.params, name: "base" }
}

fn values(model: &Model, name: &str) -> Vec<f32> {
    let tensor = model.params.by_name(name).expect("is there");
    tensor.flatten_all().and_then(|t| t.to_vec1()).expect("f32")
}

/// The bits of a tensor of a file.
fn stored(file: &SafeTensors<'_>, name: &str) -> Option<Vec<u32>> {
    let tensor = file.tensor(name).ok()?;
    Some(tensor.data().as_chunks::<4>().0.iter().map(|&b| u32::from_le_bytes(b)).collect())
}

/// The ticket that is made of a file, applied to the base, gives the weights that its writer makes, bit for bit.
fn check(kind: &str, path: &Path, format: Foreign, entries: u64) {
    let (model, before) = (model(), model());
    assert_eq!(Foreign::of(path).expect("is known"), Some(format), "{kind}");
    let ticket = format.read(path, Some(base(&model)), &Host::default()).expect("reads");
    assert_eq!(ticket.entries(), entries, "{kind}");
    let mut stack = Stack::new();
    stack.apply(&model.exec, &model.params, &ticket, kind, false).expect("applies");
    let bytes = std::fs::read(folder("sparse").join(kind).join("merged.safetensors")).expect("reads");
    let merged = SafeTensors::deserialize(&bytes).expect("is one");
    let mut changed = 0;
    for spec in model.params.universe().specs() {
        let got: Vec<u32> = values(&model, &spec.name).into_iter().map(f32::to_bits).collect();
        let old: Vec<u32> = values(&before, &spec.name).into_iter().map(f32::to_bits).collect();
        changed += u64::from(stored(&merged, &spec.name).is_some());
        assert_eq!(got, stored(&merged, &spec.name).unwrap_or(old), "{kind}: {}", spec.name);
    }
    assert_eq!(changed, ticket.mask().selected().count() as u64, "{kind}");
}

#[test]
fn what_peft_saved_makes_the_weights_that_peft_makes() {
    for (kind, format, entries) in [
        ("shira", Foreign::Shira, 288),
        ("shira-windows", Foreign::Shira, 64),
        ("supertuning", Foreign::Supertuning, 306),
        ("supertuning-whole", Foreign::Supertuning, 540),
    ] {
        check(kind, &folder("sparse").join(kind), format, entries);
    }
}

#[test]
fn patches_in_both_encodings_make_the_weights_that_they_say() {
    for kind in ["trl-raw", "trl-gaps"] {
        check(kind, &folder("sparse").join(kind).join("patch.safetensors"), Foreign::Trl, 442);
    }
}

#[test]
fn what_is_written_is_read_as_the_same_ticket() {
    let model = model();
    let dir = tempfile::tempdir().expect("a folder");
    let read = |path: &Path, format: Foreign| format.read(path, Some(base(&model)), &Host::default());
    let known = |ticket: &Ticket| ticket.meta().settings.clone();
    for (kind, format) in [("shira", Foreign::Shira), ("supertuning", Foreign::Supertuning)] {
        let ticket = read(&folder("sparse").join(kind), format).expect("reads");
        for to in Foreign::ALL {
            let path = dir.path().join(format!("{kind}-{}", to.as_str()));
            let saved = ticket.save_foreign(&path, to, None, Some(base(&model)), &Host::default());
            let saved = saved.unwrap_or_else(|e| panic!("{kind} to {}: {e}", to.as_str()));
            assert_eq!(saved.entries, ticket.entries());
            // vLLM's arrays are in TRL's layout.
            let told = if to == Foreign::Vllm { Foreign::Trl } else { to };
            assert_eq!(Foreign::of(&path).expect("is known"), Some(told));
            let back = read(&path, told).expect("reads");
            assert_eq!(back.mask(), ticket.mask(), "{kind} to {}", to.as_str());
            assert_eq!(known(&back)["read_from"], told.as_str());
            assert_eq!(back.meta().base, ticket.meta().base);
            for (i, ..) in ticket.mask().selected() {
                for (got, value) in back.values(i).iter().zip(ticket.values(i)) {
                    let most = match to {
                        Foreign::Trl => value.abs() / 256.0,
                        Foreign::Vllm => 0.0,
                        _ => saved.max_error as f32,
                    };
                    assert!((got - value).abs() <= most, "{kind} to {}: {got}, not {value}", to.as_str());
                }
            }
        }
    }
}

#[test]
fn what_a_format_cannot_hold_is_refused() {
    let model = model();
    let dir = tempfile::tempdir().expect("a folder");
    let host = Host::default();
    let of = |kind: &str, format: Foreign| {
        format.read(&folder("sparse").join(kind), Some(base(&model)), &host).expect("reads")
    };
    let whole = of("supertuning-whole", Foreign::Supertuning);
    let error = whole.save_foreign(&dir.path().join("a"), Foreign::Shira, None, Some(base(&model)), &host);
    let error = error.expect_err("norms are no linear layers").to_string();
    assert!(error.contains("changes of linear layers alone, and the ticket changes"), "{error}");
    let ticket = of("shira", Foreign::Shira);
    let why = |to, values, base: Option<Base<'_>>| {
        let saved = ticket.save_foreign(&dir.path().join("b"), to, values, base, &host);
        saved.expect_err("is refused").to_string()
    };
    use lota_runtime::ticket::ValueType::{Bf16, F32, Int8};
    assert_eq!(why(Foreign::Trl, Some(F32), None), "the format trl holds values as bf16, not as f32");
    assert_eq!(
        why(Foreign::Vllm, Some(Int8), None),
        "the format vllm holds values as f32 or bf16, not as int8"
    );
    assert_eq!(
        why(Foreign::Shira, Some(Bf16), Some(base(&model))),
        "the format shira holds values as f32, not as bf16"
    );
    assert_eq!(
        why(Foreign::Supertuning, None, None),
        "the format supertuning holds differences from the base: give the base model"
    );
    let other = load(&folder("lora/base").to_string_lossy(), &LoadOptions::default(), &host).expect("loads");
    ticket_moves(&other, &ticket);
    let error = why(Foreign::Shira, None, Some(base(&other)));
    assert!(error.contains("was made on another base"), "{error}");
    assert!(!dir.path().join("a").exists() && !dir.path().join("b").exists());
    // Of a file that says its base, another one is refused; of one that does not, any base of these shapes is taken.
    ticket.save_foreign(&dir.path().join("c"), Foreign::Vllm, None, None, &host).expect("saves");
    let error =
        Foreign::Trl.read(&dir.path().join("c"), Some(base(&other)), &host).expect_err("another base");
    assert!(error.to_string().contains("was made on another base"), "{error}");
    assert!(
        Foreign::Trl.read(&folder("sparse/trl-raw/patch.safetensors"), Some(base(&other)), &host).is_ok()
    );
}

fn ticket_moves(model: &Model, ticket: &Ticket) {
    let mut stack = Stack::new();
    stack.apply(&model.exec, &model.params, ticket, "t", false).expect("applies");
}
