//! Merges beside those that mergekit made of the same configurations.

use std::path::Path;
use std::process::{Command, Stdio};

use safetensors::SafeTensors;

use crate::data::Need;

pub fn results_are_those_of_mergekit() {
    let merges = Need::Shared.path().join("oracles/merges");
    let out = tempfile::tempdir().expect("a temporary folder");
    let mut cases = 0;
    for entry in std::fs::read_dir(&merges).expect("reference merges") {
        let case = entry.expect("an entry").path();
        if !case.join("config.yaml").exists() {
            continue;
        }
        let name = case.file_name().expect("a name").to_string_lossy().into_owned();
        let made = out.path().join(&name);
        let config = case.join("config.yaml");
        let mut lota = Command::new(env!("CARGO_BIN_EXE_lota"));
        let out = lota.arg("merge").args([&config, &made]).current_dir(&merges).stdin(Stdio::null()).output();
        let out = out.expect("the program runs");
        assert!(out.status.success(), "{name}: {}", String::from_utf8_lossy(&out.stderr));
        let read = |p: &Path| std::fs::read(p.join("model.safetensors")).expect("weights");
        let (made, expected) = (read(&made), read(&case));
        let (made, expected) = (SafeTensors::deserialize(&made), SafeTensors::deserialize(&expected));
        let (made, expected) = (made.expect("safetensors"), expected.expect("safetensors"));
        assert_eq!(made.len(), expected.len(), "{name}");
        for (tensor, view) in expected.tensors() {
            let values = |bytes: &[u8]| -> Vec<f32> {
                bytes.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect()
            };
            let (a, b) = (values(made.tensor(&tensor).expect("there").data()), values(view.data()));
            assert_eq!(a.len(), b.len(), "{name}: {tensor}");
            let worst = a.iter().zip(&b).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
            assert!(worst <= 1e-6, "{name}: {tensor} differs by {worst}");
        }
        cases += 1;
    }
    assert!(cases >= 10, "{cases} reference merges");
}
