//! Masks of the published code, as PyTorch wrote them (see `fixtures/published/make.py`).

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::*;

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/published").join(name)
}

fn load(name: &str) -> Result<Mask> {
    Mask::load_published(&fixture(name), &universe(), true)
}

/// The error of reading a fixture, without its path.
fn refusal(name: &str) -> String {
    let text = text(load(name));
    text.strip_prefix(&format!("{}: ", fixture(name).display())).expect("names the file").to_string()
}

#[test]
fn masks_are_what_torch_reads_in_them_turned_round() {
    let expected = std::fs::read_to_string(fixture("expected.json")).expect("is there");
    let expected: BTreeMap<String, BTreeMap<String, Vec<u32>>> =
        serde_json::from_str(&expected).expect("is JSON");
    assert_eq!(expected.len(), 6);
    for (file, entries) in expected {
        let mask = load(&format!("{file}.pt")).expect("reads");
        for (spec, set) in universe().specs().iter().zip(mask.sets()) {
            let wanted = entries.get(&spec.name).map_or(&[][..], Vec::as_slice);
            assert_eq!(set.iter().collect::<Vec<_>>(), wanted, "{file}: {}", spec.name);
        }
    }
}

#[test]
fn a_file_that_is_not_inverted_is_taken_as_it_is() {
    assert_eq!(
        text(Mask::load_published(&fixture("mask.pt"), &universe(), false)),
        format!(
            "{}: \"lm_head.weight\" is no parameter of this model, and some of it is in the mask",
            fixture("mask.pt").display()
        )
    );
    let mut specs = universe().specs().to_vec();
    specs.push(ParamSpec { name: "lm_head.weight".into(), shape: vec![2, 3], role: Role::Head, layer: None });
    let universe = Universe::new(specs).expect("valid");
    let plain = Mask::load_published(&fixture("mask.pt"), &universe, false).expect("reads");
    let turned = Mask::load_published(&fixture("mask.pt"), &universe, true).expect("reads");
    assert_eq!((plain.count(), turned.count()), (28 + 16 + 24 + 16 + 16 + 4 + 6, 8));
    assert!(plain.is_disjoint(&turned).expect("same"));
}

#[test]
fn what_is_no_mask_of_this_model_is_refused_with_the_reason() {
    let half = "under \"model.norm.weight\": holds something besides 0 and 1, so it is no mask";
    let alien = "is not a file of tensors as torch.save writes it: ";
    let calls = |what| {
        format!("{alien}it calls for {what}, which a file of tensors does not need; nothing in it was run")
    };
    let cases = [
        ("half.pt", half.to_string()),
        ("old_half.pt", half.to_string()),
        ("list.pt", "holds no dictionary of parameter names and tensors".to_string()),
        ("words.pt", "under \"model.norm.weight\": is not a tensor".to_string()),
        (
            "nested.pt",
            "under \"mask\": is a dictionary, not a tensor: save the inner dictionary by itself".to_string(),
        ),
        ("number.pt", "has a key that is not the name of a parameter".to_string()),
        (
            "shape.pt",
            "parameter model.norm.weight has shape [2, 2] in the file and [4] in the model".to_string(),
        ),
        ("scalar.pt", "under \"model.norm.weight\": has shape []".to_string()),
        (
            "alien.pt",
            "\"h.0.attn.weight\" is no parameter of this model, and some of it is in the mask".to_string(),
        ),
        ("twice.pt", "names parameter model.norm.weight twice".to_string()),
        (
            "complex.pt",
            "under \"model.norm.weight\": holds ComplexFloatStorage, which is not read".to_string(),
        ),
        ("sparse.pt", calls("torch._utils._rebuild_sparse_tensor")),
        ("quantized.pt", calls("torch._utils._rebuild_qtensor")),
        ("malicious.pt", calls("posix.system")),
        ("old_malicious.pt", calls("posix.system")),
        // A reader that skips the state of objects would take this one for an empty dictionary.
        ("hidden.pt", calls("posix.system")),
        ("bare.pt", format!("{alien}it is a bare pickle, of which nothing was run")),
        ("make.py", format!("{alien}it begins neither as a zip archive nor as the format before 1.6")),
    ];
    for (file, reason) in cases {
        assert_eq!(refusal(file), reason, "{file}");
    }
}

#[test]
fn names_may_carry_what_wrappers_add() {
    let dir = tempfile::tempdir().expect("a folder");
    let bytes = std::fs::read(fixture("old_views.pt")).expect("reads");
    let named = |new: &str| {
        let old = b"model.layers.1.self_attn.q_proj.weight";
        let at = bytes.windows(old.len()).position(|w| w == old).expect("is there");
        // The length of a pickled string lies in the four bytes before it.
        let mut changed = bytes[..at - 4].to_vec();
        changed.extend((new.len() as u32).to_le_bytes());
        changed.extend(new.as_bytes());
        changed.extend(&bytes[at + old.len()..]);
        let path = dir.path().join("m.pt");
        std::fs::write(&path, changed).expect("writes");
        Mask::load_published(&path, &universe(), true)
    };
    let plain = load("old_views.pt").expect("reads");
    for name in [
        "module.model.layers.1.self_attn.q_proj.weight",
        "_orig_mod.module.layers.1.self_attn.q_proj.weight",
        "_fsdp_wrapped_module.model.layers.1._fsdp_wrapped_module._checkpoint_wrapped_module.self_attn.q_proj.weight",
    ] {
        assert_eq!(named(name).expect("reads"), plain, "{name}");
    }
    assert!(named("model.layers.2.self_attn.q_proj.weight").is_err());
}

#[test]
fn a_damaged_file_is_an_error_and_not_a_crash() {
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("m.pt");
    for file in ["views.pt", "types.pt", "old_views.pt"] {
        let bytes = std::fs::read(fixture(file)).expect("reads");
        for at in 0..bytes.len() {
            let mut damaged = bytes.clone();
            damaged[at] ^= 1 << (at % 8);
            std::fs::write(&path, &damaged).expect("writes");
            // The old format has no checksum, so what is damaged may still be a mask.
            let _ = Mask::load_published(&path, &universe(), true);
        }
        for len in (0..bytes.len()).step_by(5) {
            std::fs::write(&path, &bytes[..len]).expect("writes");
            assert!(Mask::load_published(&path, &universe(), true).is_err(), "{len} bytes of {file}");
        }
    }
}

#[test]
fn a_storage_may_be_packed_and_longer_than_its_tensor() {
    use std::io::{Read, Write};
    use zip::write::SimpleFileOptions;
    let whole = load("mask.pt").expect("reads");
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("packed.pt");
    let mut from =
        zip::ZipArchive::new(std::fs::File::open(fixture("mask.pt")).expect("opens")).expect("a zip");
    let mut to = zip::ZipWriter::new(std::fs::File::create(&path).expect("creates"));
    let packed = SimpleFileOptions::default().compression_method(zip::CompressionMethod::Deflated);
    for i in 0..from.len() {
        let mut entry = from.by_index(i).expect("an entry");
        let name = entry.name().expect("text").into_owned();
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes).expect("reads");
        to.start_file(&name, packed).expect("starts");
        to.write_all(&bytes).expect("writes");
        if name.contains("/data/") {
            to.write_all(&vec![0; 64 << 20]).expect("writes");
        }
    }
    to.finish().expect("closes");
    let read = Mask::load_published(&path, &universe(), true).expect("reads");
    assert!(read.sets().iter().eq(whole.sets().iter()));
}
