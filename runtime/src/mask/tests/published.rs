//! Masks of the published code, as PyTorch files.

use std::path::{Path, PathBuf};

use super::*;

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name)
}

#[test]
fn the_published_meaning_is_turned_round() {
    let mask = Mask::load_published(&fixture("published_mask.pt"), &universe(), true).expect("reads");
    let entries = |p: usize| mask.set(p).iter().collect::<Vec<_>>();
    // Through a wrapper's prefix, booleans.
    assert_eq!(entries(1), [0, 5, 10, 15]);
    // Without the prefix `model.`, a parameter that is a view of floats.
    assert_eq!(entries(2), [2]);
    // A transposed view of bf16.
    assert_eq!(entries(3), [0, 1, 2, 3]);
    // Absent: not in the mask. The tied head is frozen, and this model has none.
    assert_eq!(mask.count(), 9);
}

#[test]
fn a_file_that_is_not_inverted_is_taken_as_it_is() {
    let refused = Mask::load_published(&fixture("published_mask.pt"), &universe(), false);
    let path = fixture("published_mask.pt");
    assert_eq!(
        text(refused),
        format!(
            "{}: \"lm_head.weight\" is no parameter of this model, and some of it is in the mask",
            path.display()
        )
    );
    let mut specs = universe().specs().to_vec();
    specs.push(ParamSpec { name: "lm_head.weight".into(), shape: vec![2, 3], role: Role::Head, layer: None });
    let universe = Universe::new(specs).expect("valid");
    let plain = Mask::load_published(&path, &universe, false).expect("reads");
    let turned = Mask::load_published(&path, &universe, true).expect("reads");
    assert_eq!((plain.count(), turned.count()), (12 + 3 + 20 + 6, 9));
    assert!(plain.is_disjoint(&turned).expect("same"));
}

#[test]
fn what_is_no_mask_is_refused() {
    let refusal = |name: &str| {
        let text = text(Mask::load_published(&fixture(name), &universe(), true));
        text.strip_prefix(&format!("{}: ", fixture(name).display())).expect("names the file").to_string()
    };
    assert_eq!(
        refusal("published_half.pt"),
        "under \"model.norm.weight\": holds something besides 0 and 1, so it is no mask"
    );
    assert_eq!(
        refusal("published_short.pt"),
        "under \"model.norm.weight\": goes past the end of its storage"
    );
    assert_eq!(refusal("published_list.pt"), "holds no dictionary of parameter names and tensors");
    assert_eq!(refusal("published_words.pt"), "under \"model.norm.weight\": is not a tensor");
    assert_eq!(
        refusal("published_shape.pt"),
        "parameter model.norm.weight has shape [2, 2] in the file and [4] in the model"
    );
    assert_eq!(
        refusal("published_alien.pt"),
        "\"h.0.attn.weight\" is no parameter of this model, and some of it is in the mask"
    );
    assert!(
        refusal("make_published_masks.py").starts_with("is not a file of tensors as torch.save writes it: ")
    );
}

#[test]
fn a_damaged_file_is_an_error_and_not_a_crash() {
    let bytes = std::fs::read(fixture("published_mask.pt")).expect("reads");
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("m.pt");
    for at in 0..bytes.len() {
        for flip in [0x01, 0x80, 0xff] {
            let mut damaged = bytes.clone();
            damaged[at] ^= flip;
            std::fs::write(&path, &damaged).expect("writes");
            let _ = Mask::load_published(&path, &universe(), true);
        }
    }
    for len in (0..bytes.len()).step_by(13) {
        std::fs::write(&path, &bytes[..len]).expect("writes");
        assert!(Mask::load_published(&path, &universe(), true).is_err(), "{len} bytes");
    }
}
