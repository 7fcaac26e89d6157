//! Headers that are written and read back, and every way in which one can be wrong.

use std::path::Path;

use serde_json::{Value, json};

use super::*;
use crate::Result;

/// A file with this header and so many bytes behind it.
fn file(header: &str, bytes: usize) -> Vec<u8> {
    let mut out = (header.len() as u64).to_le_bytes().to_vec();
    out.extend(header.as_bytes());
    out.resize(out.len() + bytes, 7);
    out
}

fn read(bytes: &[u8]) -> Result<Header> {
    Header::read(&mut &bytes[..], bytes.len() as u64).map_err(|e| e.at(Path::new("x")))
}

fn refusal(bytes: &[u8]) -> String {
    let text = read(bytes).expect_err("is refused").to_string();
    text.strip_prefix("x: ").expect("names the file").to_string()
}

/// What is said of a file with these tensors and so many bytes behind its header.
fn refused(tensors: &Value, bytes: usize) -> String {
    refusal(&file(&tensors.to_string(), bytes))
}

fn tensor(shape: &[usize], begin: u64, end: u64) -> Value {
    json!({ "dtype": "F32", "shape": shape, "data_offsets": [begin, end] })
}

#[test]
fn what_is_written_is_read_back() -> Result<()> {
    let tensors = [
        Declared { name: "b", dtype: "F32", shape: &[2, 3], bytes: 24 },
        Declared { name: "empty", dtype: "BF16", shape: &[0, 5], bytes: 0 },
        Declared { name: "a", dtype: "U8", shape: &[3], bytes: 3 },
        Declared { name: "new", dtype: "F3", shape: &[8], bytes: 3 },
    ];
    let mut bytes = Vec::new();
    let path = Path::new("x");
    write::<Error>(&mut bytes, path, &[("format", "pt"), ("k", "ü")], &tensors, |i, out| {
        out.write_all(&vec![i as u8; tensors[i].bytes as usize]).map_err(|e| Error::io(path, e))
    })?;
    let header = read(&bytes)?;
    assert_eq!(header.metadata["k"], "ü");
    assert_eq!(header.tensors[0].begin % 8, 0);
    for (i, (found, tensor)) in header.tensors.iter().zip(&tensors).enumerate() {
        assert_eq!(
            (found.name.as_str(), found.dtype.as_str(), &found.shape[..]),
            (tensor.name, tensor.dtype, tensor.shape)
        );
        assert!(bytes[found.begin as usize..found.end as usize].iter().all(|b| *b == i as u8));
        assert_eq!(found.bytes(), tensor.bytes);
    }
    assert_eq!(header.tensors.len(), 4);
    Ok(())
}

#[test]
fn what_is_no_safetensors_file_or_is_cut_is_refused() {
    assert_eq!(refusal(b"\x05"), "not a safetensors file: it ends inside its header");
    assert_eq!(refusal(b"\xff\0\0\0\0\0\0\0{}"), "not a safetensors file: it ends inside its header");
    assert_eq!(
        refusal(b"\xff\xff\xff\xff\xff\0\0\0{}"),
        "not a safetensors file: a header of 1099511627775 bytes"
    );
    assert!(refusal(&file("{]", 0)).starts_with("not a safetensors file: its header is not JSON"));
    assert!(refusal(&file("[1]", 0)).starts_with("not a safetensors file: its header is not JSON"));
    let two = json!({ "b": tensor(&[2], 4, 12), "a": tensor(&[1], 0, 4) });
    assert!(read(&file(&two.to_string(), 12)).is_ok());
    let at = 8 + two.to_string().len();
    assert_eq!(
        refused(&two, 11),
        format!("tensor b ends at byte {}, but the file has only {}: it is truncated", at + 12, at + 11)
    );
    assert_eq!(refused(&two, 15), "it has 3 bytes too many");
}

#[test]
fn tensors_that_contradict_the_file_are_refused_by_name() {
    assert_eq!(
        refused(&json!({ "a": tensor(&[3], 0, 8) }), 8),
        "tensor a has shape [3] and type F32, which does not fit its 8 bytes"
    );
    assert_eq!(
        refused(&json!({ "a": tensor(&[usize::MAX, 3], 0, 8) }), 8),
        format!("tensor a has shape [{}, 3] and type F32, which does not fit its 8 bytes", usize::MAX)
    );
    assert_eq!(
        refused(&json!({ "a": tensor(&[0, 1 << 40], 0, 0) }), 0),
        "tensor a is empty and has the shape [0, 1099511627776], which cannot be"
    );
    let unsaid = "tensor a: the header does not say its dtype, shape and data_offsets";
    for bad in [
        json!({ "a": tensor(&[1], 8, 4) }),
        json!({ "a": tensor(&[1], 0, u64::MAX) }),
        json!({ "a": {} }),
        json!({ "a": 1 }),
        json!({ "a": { "dtype": "F32", "shape": [-1], "data_offsets": [0, 4] } }),
        json!({ "a": { "dtype": "F32", "shape": [1], "data_offsets": [0, 4, 8] } }),
    ] {
        assert_eq!(refused(&bad, 4), unsaid, "{bad}");
    }
    assert_eq!(
        refused(&json!({ "a": tensor(&[2], 0, 8), "b": tensor(&[2], 4, 12) }), 12),
        "tensors a and b overlap"
    );
    assert_eq!(
        refused(&json!({ "a": tensor(&[2], 0, 8), "b": tensor(&[1], 12, 16) }), 16),
        "tensor b does not follow the one before: 4 bytes lie between"
    );
    assert_eq!(
        refused(&json!({ "a": tensor(&[2], 4, 12) }), 12),
        "tensor a does not follow the one before: 4 bytes lie between"
    );
    assert!(refused(&json!({ "__metadata__": { "a": 1 } }), 0).starts_with("its metadata: "));
}

#[test]
fn names_that_come_twice_and_more_dimensions_than_the_limit_are_refused() {
    let entry = |begin: u64| tensor(&[1], begin, begin + 4).to_string();
    let twice = format!(r#"{{"a":{},"a":{}}}"#, entry(0), entry(4));
    assert_eq!(refusal(&file(&twice, 8)), "two tensors are called a");
    assert_eq!(
        refused(&json!({ "a": tensor(&[1; MAX_RANK + 1], 0, 4) }), 4),
        format!("tensor a has {} dimensions; at most {MAX_RANK} are read", MAX_RANK + 1)
    );
    assert!(read(&file(&json!({ "a": tensor(&[1; MAX_RANK], 0, 4) }).to_string(), 4)).is_ok());
}

#[test]
fn what_no_reader_would_take_is_not_written() {
    let one = Declared { name: "a", dtype: "F32", shape: &[2], bytes: 8 };
    let text = |tensors: &[Declared<'_>]| header(&[], tensors).expect_err("is refused").to_string();
    assert!(text(&[one, one]).ends_with("two tensors are called a"));
    assert!(text(&[Declared { bytes: 9, ..one }]).ends_with("which does not fit its 9 bytes"));
    let written = write::<Error>(&mut Vec::new(), Path::new("x"), &[], &[one], |_, out| {
        out.write_all(&[0; 7]).map_err(|e| Error::io("x", e))
    });
    assert_eq!(
        written.expect_err("one byte is missing").to_string(),
        "tensor a was to have 8 bytes, and 7 were written"
    );
}
