//! Mask files: what is written comes back, and what is not whole is refused.

use super::*;

proptest! {
    #[test]
    fn a_saved_mask_comes_back(mask in any_mask()) {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("m.safetensors");
        let size = mask.save(&path).expect("saves");
        prop_assert_eq!(size, std::fs::metadata(&path).expect("is there").len());
        prop_assert_eq!(&Mask::load(&path, Some(mask.universe())).expect("loads"), &mask);
        prop_assert_eq!(&Mask::load(&path, None).expect("loads"), &mask);
    }
}

fn sample() -> (tempfile::TempDir, std::path::PathBuf, Vec<u8>) {
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("m.safetensors");
    Mask::rows(universe(), &[1, 3, 5], &[0, 2]).expect("fits").save(&path).expect("saves");
    let bytes = std::fs::read(&path).expect("reads");
    (dir, path, bytes)
}

/// The error of loading these bytes, without the path.
fn refusal(path: &std::path::Path, bytes: &[u8]) -> String {
    std::fs::write(path, bytes).expect("writes");
    let text = text(Mask::load(path, Some(&universe())));
    text.strip_prefix(&format!("{}: ", path.display())).expect("names the file").to_string()
}

#[test]
fn a_mask_file_is_an_ordinary_safetensors_file() {
    let (_dir, _, bytes) = sample();
    let file = safetensors::SafeTensors::deserialize(&bytes).expect("parses");
    let set = file.tensor("model.layers.0.mlp.up_proj.weight").expect("is there");
    let set = RoaringBitmap::deserialize_from(set.data()).expect("is a set");
    assert_eq!(set.iter().collect::<Vec<_>>(), [0, 1, 2, 3, 8, 9, 10, 11]);
}

#[test]
fn any_damaged_byte_is_noticed() {
    let (_dir, path, bytes) = sample();
    for at in (0..bytes.len()).step_by(7).chain(bytes.len() - 40..bytes.len()) {
        let mut damaged = bytes.clone();
        damaged[at] ^= 0x10;
        std::fs::write(&path, &damaged).expect("writes");
        assert!(Mask::load(&path, Some(&universe())).is_err(), "byte {at}");
    }
    let mut damaged = bytes.clone();
    *damaged.last_mut().expect("not empty") ^= 1;
    let checksum =
        "is damaged: its checksum does not fit its contents; this mask must be copied or made again";
    assert_eq!(refusal(&path, &damaged), checksum);
    let mut damaged = bytes.clone();
    let at = bytes.len() - 60;
    damaged[at] ^= 1;
    assert_eq!(refusal(&path, &damaged), checksum);
}

#[test]
fn cut_grown_and_foreign_files_are_refused() {
    let (_dir, path, bytes) = sample();
    let n = bytes.len();
    let short = |has: usize| format!("is cut short: it has {has} bytes of {n}; copy or download it again");
    assert_eq!(refusal(&path, &bytes[..n - 1]), short(n - 1));
    assert_eq!(refusal(&path, &bytes[..n - 50]), short(n - 50));
    assert!(refusal(&path, &bytes[..200]).starts_with("is cut short: it has 200 bytes of at least "));
    assert_eq!(refusal(&path, &bytes[..4]), "is not a mask file");
    assert_eq!(refusal(&path, b"just a text, and not even a short one"), "is not a mask file");
    let grown = [bytes.as_slice(), b"xyz"].concat();
    assert_eq!(refusal(&path, &grown), "is damaged: it has 3 bytes too many");
    let other = safetensors::serialize(Vec::<(String, safetensors::tensor::TensorView<'_>)>::new(), None);
    assert_eq!(refusal(&path, &other.expect("serialises")), "is not a mask file");
    let replaced = |from: &str, to: &str| {
        let at = bytes.windows(from.len()).position(|w| w == from.as_bytes()).expect("is there");
        [&bytes[..at], to.as_bytes(), &bytes[at + from.len()..]].concat()
    };
    assert_eq!(
        refusal(&path, &replaced("\"version\":\"1\"", "\"version\":\"9\"")),
        format!(
            "is a mask file of version 9, and this lota ({}) reads up to version 1: use a newer lota",
            env!("CARGO_PKG_VERSION")
        )
    );
    assert_eq!(refusal(&path, &replaced("lota-mask", "lota-tusk")), "is not a mask file");
    let missing = path.with_file_name("absent");
    assert!(text(Mask::load(&missing, None)).starts_with(&missing.display().to_string()));
}

#[test]
fn a_mask_of_another_model_is_refused() {
    let (_dir, path, _) = sample();
    let mut specs = universe().specs().to_vec();
    specs[0].shape = vec![8, 4];
    let other = Universe::new(specs).expect("valid");
    assert_eq!(
        text(Mask::load(&path, Some(&other))),
        format!(
            "{}: not of the same model: parameter model.embed_tokens.weight has shape [8, 4] in one and [7, 4] in \
             the other",
            path.display()
        )
    );
}
