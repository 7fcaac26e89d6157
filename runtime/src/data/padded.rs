//! Padded tensors, as other tools store batches, to and from examples: `input_ids`, `labels`
//! (-100 = not a target, *not* shifted) and `attention_mask`, each `[sequences, length]`, or
//! `[batches, sequences, length]` in a file of several batches.

use std::path::Path;

use super::{Batch, Example, NO_LABEL, collate};
use crate::host::container::Header;
use crate::host::read_bytes;
use crate::{Error, Result};

/// Batches of padded sequences.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Padded {
    /// Batches, sequences of a batch, length.
    pub shape: [usize; 3],
    /// Token ids, padding included.
    pub input_ids: Vec<i64>,
    /// Labels, unshifted, -100 where there is none.
    pub labels: Vec<i64>,
    /// 1 for a token, 0 for padding.
    pub attention_mask: Vec<i64>,
}

impl Padded {
    /// Reads a safetensors file. `labels` may be missing (every token is then a target), and so
    /// may `attention_mask` (nothing is then padding).
    pub fn read(path: &Path) -> Result<Self> {
        let bytes = read_bytes(path)?;
        let header = Header::read(&mut &bytes[..], bytes.len() as u64).map_err(|refusal| refusal.at(path))?;
        let tensor = |name: &str| -> Result<Option<(Vec<usize>, Vec<i64>)>> {
            let Some(entry) = header.tensors.iter().find(|entry| entry.name == name) else { return Ok(None) };
            let data = &bytes[entry.begin as usize..entry.end as usize];
            let values = match entry.dtype.as_str() {
                "I64" | "U64" => data.as_chunks::<8>().0.iter().map(|&b| i64::from_le_bytes(b)).collect(),
                "I32" => data.as_chunks::<4>().0.iter().map(|&b| i64::from(i32::from_le_bytes(b))).collect(),
                "U32" => data.as_chunks::<4>().0.iter().map(|&b| i64::from(u32::from_le_bytes(b))).collect(),
                "U8" | "BOOL" => data.iter().map(|&b| i64::from(b)).collect(),
                other => {
                    return Err(Error::format(path, format!("`{name}` is {other}; it must be integers")));
                }
            };
            Ok(Some((entry.shape.clone(), values)))
        };
        let (shape, input_ids) =
            tensor("input_ids")?.ok_or_else(|| Error::format(path, "it has no tensor `input_ids`"))?;
        let sizes = match shape[..] {
            [b, t] => [1, b, t],
            [n, b, t] => [n, b, t],
            _ => {
                return Err(Error::format(
                    path,
                    format!(
                        "`input_ids` is {shape:?}; it must be [sequences, length] or [batches, sequences, length]"
                    ),
                ));
            }
        };
        let beside = |name: &str| -> Result<Option<Vec<i64>>> {
            match tensor(name)? {
                Some((s, _)) if s != shape => {
                    Err(Error::format(path, format!("`{name}` is {s:?} but `input_ids` is {shape:?}")))
                }
                found => Ok(found.map(|(_, v)| v)),
            }
        };
        let attention_mask = beside("attention_mask")?.unwrap_or_else(|| vec![1; input_ids.len()]);
        let labels = beside("labels")?.unwrap_or_else(|| input_ids.clone());
        Ok(Self { shape: sizes, input_ids, labels, attention_mask })
    }

    /// The sequences without their padding, wherever it lies.
    pub fn examples(&self) -> Result<Vec<Example>> {
        let [n, b, t] = self.shape;
        let count = n * b * t;
        if [&self.input_ids, &self.labels, &self.attention_mask].iter().any(|v| v.len() != count) {
            return Err(Error::argument(format!(
                "padded batches of shape {:?} must have {count} entries",
                self.shape
            )));
        }
        (0..n * b)
            .map(|row| {
                let mut example = Example { tokens: Vec::new(), labels: Vec::new() };
                for i in row * t..(row + 1) * t {
                    if self.attention_mask[i] == 0 {
                        continue;
                    }
                    let wrong = |what: &str, value: i64| {
                        Error::argument(format!("sequence {row}, position {}: {what} {value}", i - row * t))
                    };
                    let (id, label) = (self.input_ids[i], self.labels[i]);
                    example.tokens.push(u32::try_from(id).map_err(|_| wrong("no token has the id", id))?);
                    if label != i64::from(NO_LABEL) && (label < 0 || label > i64::from(i32::MAX)) {
                        return Err(wrong("no token has the label", label));
                    }
                    example.labels.push(label as i32);
                }
                Ok(example)
            })
            .collect()
    }

    /// The batches, one for each of the first dimension. Sequences of padding only are left out.
    pub fn batches(&self) -> Result<Vec<Batch>> {
        let examples = self.examples()?;
        let mut ids = 0u32..;
        Ok(examples.chunks(self.shape[1].max(1)).map(|chunk| collate(ids.by_ref().zip(chunk))).collect())
    }

    /// Examples as one padded batch, filled on the right with `pad`.
    pub fn from_examples(examples: &[Example], pad: u32) -> Self {
        let length = examples.iter().map(Example::len).max().unwrap_or(0);
        let fill = |f: &dyn Fn(&Example, usize) -> i64, padding: i64| {
            examples
                .iter()
                .flat_map(|e| (0..length).map(move |t| if t < e.len() { f(e, t) } else { padding }))
                .collect()
        };
        Self {
            shape: [1, examples.len(), length],
            input_ids: fill(&|e, t| i64::from(e.tokens[t]), i64::from(pad)),
            labels: fill(&|e, t| i64::from(e.labels[t]), i64::from(NO_LABEL)),
            attention_mask: fill(&|_, _| 1, 0),
        }
    }
}
