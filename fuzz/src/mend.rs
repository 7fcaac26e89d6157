//! Files that say their own lengths or hash, made right again after something in them was changed.

use serde_json::{Map, Value, json};

/// How the files of a target are built.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// Nothing to be made right.
    Plain,
    /// A safetensors file: the length of its header, the places of its tensors.
    Container,
    /// A text, a zero, and a safetensors file.
    Beside,
    /// A safetensors file that ends with a hash of all of it.
    Sealed,
}

/// The tensor that holds the hash.
const CHECKSUM: &str = "checksum";
/// The length of the hash.
const SUM: usize = 32;

/// The file with its last bytes replaced by the hash of those before.
pub fn sealed(mut bytes: Vec<u8>) -> Vec<u8> {
    if let Some(end) = bytes.len().checked_sub(SUM) {
        let hash = blake3::hash(&bytes[..end]);
        bytes[end..].copy_from_slice(hash.as_bytes());
    }
    bytes
}

/// A file in the parts that can be changed one by one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Parts {
    /// The text in front, with its zero.
    pub before: Vec<u8>,
    /// The header's text.
    pub header: Vec<u8>,
    /// What follows the header.
    pub body: Vec<u8>,
}

impl Parts {
    /// The parts of a file of this shape. A header whose length makes no sense is all that there is.
    pub fn of(bytes: &[u8], shape: Shape) -> Self {
        let start = match shape {
            Shape::Beside => bytes.iter().position(|&b| b == 0).map_or(bytes.len(), |at| at + 1),
            _ => 0,
        };
        let (before, rest) = bytes.split_at(start);
        let Some((length, rest)) = rest.split_first_chunk() else {
            return Self { before: before.to_vec(), header: rest.to_vec(), body: Vec::new() };
        };
        let length = usize::try_from(u64::from_le_bytes(*length)).unwrap_or(usize::MAX);
        let (header, body) = rest.split_at(length.min(rest.len()));
        Self { before: before.to_vec(), header: header.to_vec(), body: body.to_vec() }
    }

    /// The file, made right as far as its header can be understood, in at most `most` bytes of tensors.
    pub fn join(self, shape: Shape, most: usize) -> Vec<u8> {
        let Self { mut before, mut header, mut body } = self;
        if let Ok(Value::Object(members)) = serde_json::from_slice(&header) {
            let (members, placed) = placed(members, &body, shape == Shape::Sealed, most);
            header = Value::Object(members).to_string().into_bytes();
            body = placed;
        }
        before.extend((header.len() as u64).to_le_bytes());
        before.extend(header);
        before.extend(body);
        if shape == Shape::Sealed { sealed(before) } else { before }
    }
}

/// Members of a header whose tensors lie one after the other, in the order in which they lay, and their bytes. A tensor
/// that says no size that could be keeps the number of bytes that it had.
fn placed(
    mut members: Map<String, Value>,
    body: &[u8],
    seal: bool,
    most: usize,
) -> (Map<String, Value>, Vec<u8>) {
    if seal && members.contains_key("__metadata__") {
        let sum = json!({"dtype": "U8", "shape": [SUM], "data_offsets": [u64::MAX / 4, u64::MAX / 4]});
        members.insert(CHECKSUM.to_string(), sum);
    }
    let begin = |tensor: &Value| tensor["data_offsets"][0].as_u64();
    let mut names: Vec<(u64, String)> = members
        .iter()
        .filter(|(name, _)| *name != "__metadata__")
        .filter_map(|(name, tensor)| Some((begin(tensor)?, name.clone())))
        .collect();
    names.sort_by_key(|(begin, _)| *begin);
    let mut out = Vec::new();
    for (begin, name) in names {
        let tensor = &mut members[&name];
        let end = tensor["data_offsets"][1].as_u64().unwrap_or(begin);
        let bytes = size(tensor).unwrap_or(end.saturating_sub(begin));
        let bytes = usize::try_from(bytes).unwrap_or(usize::MAX);
        if bytes > most.saturating_sub(out.len()) {
            continue;
        }
        let from = usize::try_from(begin).unwrap_or(usize::MAX).min(body.len());
        let there = &body[from..from.saturating_add(bytes).min(body.len())];
        let start = out.len();
        out.extend(there);
        out.resize(start + bytes, 0);
        tensor["data_offsets"] = json!([start, out.len()]);
    }
    (members, out)
}

/// The bytes that a tensor's shape and type ask for.
fn size(tensor: &Value) -> Option<u64> {
    let bits = lota_runtime::host::container::bits(tensor["dtype"].as_str()?)?;
    let shape = tensor["shape"].as_array()?;
    let entries = shape.iter().try_fold(1u64, |n, dim| n.checked_mul(dim.as_u64()?))?;
    Some(entries.checked_mul(bits)?.div_ceil(8))
}
