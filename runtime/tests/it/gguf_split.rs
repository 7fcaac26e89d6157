//! GGUF files that are split into parts, as llama.cpp cuts them.

use std::io::Cursor;
use std::path::Path;

use candle_core::quantized::gguf_file::{self, Value as Meta};
use candle_core::quantized::{GgmlDType, QTensor};
use lota_runtime::host::Host;
use lota_runtime::model::{LoadOptions, load};

use crate::gguf::{Metadata, Tensors, parts};

fn write(path: &Path, meta: &Metadata, tensors: &[(String, QTensor)]) {
    let mut bytes = Cursor::new(Vec::new());
    let meta: Vec<(&str, &Meta)> = meta.iter().map(|(k, v)| (k.as_str(), v)).collect();
    let tensors: Vec<(&str, &QTensor)> = tensors.iter().map(|(n, t)| (n.as_str(), t)).collect();
    gguf_file::write(&mut bytes, &meta, &tensors).expect("writes");
    std::fs::write(path, bytes.into_inner()).expect("writes");
}

fn name(at: usize) -> String {
    format!("m-{:05}-of-00003.gguf", at + 1)
}

/// What a part says of itself.
fn about(at: u16, all: usize) -> Metadata {
    vec![
        ("split.no".into(), Meta::U16(at)),
        ("split.count".into(), Meta::U16(3)),
        ("split.tensors.count".into(), Meta::I32(all as i32)),
    ]
}

/// Cuts a file into three parts, of which the first has the metadata.
fn cut(folder: &Path, meta: &Metadata, tensors: Tensors) {
    let all = tensors.len();
    let mut rest = tensors.into_iter();
    for at in 0..3u16 {
        let own: Tensors = rest.by_ref().take(all.div_ceil(3)).collect();
        let mut said = about(at, all);
        if at == 0 {
            said.extend(meta.clone());
        }
        write(&folder.join(name(at.into())), &said, &own);
    }
}

fn fingerprint(path: &Path) -> Result<String, String> {
    let model = load(&path.to_string_lossy(), &LoadOptions::default(), &Host::default());
    model.and_then(|model| model.fingerprint()).map_err(|e| e.to_string())
}

#[test]
fn any_part_opens_the_whole_file() {
    let dir = tempfile::tempdir().expect("a folder");
    let (meta, tensors) = parts();
    let whole = dir.path().join("whole.gguf");
    write(&whole, &meta, &tensors);
    cut(dir.path(), &meta, tensors);
    let expected = fingerprint(&whole).expect("loads");
    for at in 0..3 {
        assert_eq!(fingerprint(&dir.path().join(name(at))).as_ref(), Ok(&expected));
    }
}

#[test]
fn a_part_that_is_missing_or_another_files_is_named() {
    let dir = tempfile::tempdir().expect("a folder");
    let (meta, tensors) = parts();
    cut(dir.path(), &meta, tensors);
    let [first, second, third] = [0, 1, 2].map(|at| dir.path().join(name(at)));
    let told = |path: &Path| fingerprint(path).expect_err("is refused");

    let aside = dir.path().join("aside.gguf");
    std::fs::rename(&second, &aside).expect("renames");
    for path in [&first, &third] {
        let part = if path == &first { 1 } else { 3 };
        let expected = format!(
            "{}: is part {part} of a file that is split into 3, and part 2, {}, is not there: put all parts in one folder",
            path.display(),
            name(1)
        );
        assert_eq!(told(path), expected);
    }
    let renamed = told(&aside);
    assert!(
        renamed.contains(
            "is part 2 of a file that is split into 3, and its name does not end in -00002-of-00003.gguf"
        ),
        "{renamed}"
    );

    // Another part, or another file, in its place.
    std::fs::copy(&third, &second).expect("copies");
    assert!(told(&first).contains("is not part 2 of 3 of the file"), "{}", told(&first));
    let (_, mut others) = parts();
    others.truncate(1);
    write(&second, &about(1, 99), &others);
    assert!(told(&first).contains("is also in another part"), "{}", told(&first));
    let one = QTensor::quantize(
        &candle_core::Tensor::zeros(32, candle_core::DType::F32, &candle_core::Device::Cpu).expect("zeros"),
        GgmlDType::F32,
    );
    write(&second, &about(1, 99), &[("other".to_string(), one.expect("quantises"))]);
    assert!(told(&first).contains("are in its parts"), "{}", told(&first));
}
