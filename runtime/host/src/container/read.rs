//! Reading the header of a safetensors file.

use std::fmt;
use std::io::Read;
use std::marker::PhantomData;

use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, Visitor};
use serde_json::Value;

use crate::is_pointer;

use super::{Entry, Header, MAX_HEADER, MAX_TENSORS, METADATA, Refusal, check};

/// What a header says of one tensor; offsets count from the end of the header.
#[derive(serde::Deserialize)]
struct Stored {
    dtype: String,
    shape: Vec<usize>,
    data_offsets: [u64; 2],
}

/// The members of a JSON object, none of which may come twice.
struct Members<V>(Vec<(String, V)>);

impl<'de, V: Deserialize<'de>> Deserialize<'de> for Members<V> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Each<V>(PhantomData<V>);
        impl<'de, V: Deserialize<'de>> Visitor<'de> for Each<V> {
            type Value = Members<V>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members<V>, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    // One more than tensors: the metadata.
                    if members.len() > MAX_TENSORS {
                        return Err(A::Error::custom(format!("it has more than {MAX_TENSORS} members")));
                    }
                    members.push(member);
                }
                Ok(Members(members))
            }
        }
        from.deserialize_map(Each(PhantomData))
    }
}

impl Header {
    /// Reads the header of a file of `size` bytes from its beginning; `file` then stands at the first tensor.
    ///
    /// # Errors
    ///
    /// The file is no safetensors file or ends too early; a tensor's size is not what its shape and type give; two
    /// tensors have one name, overlap or leave a gap; bytes are left over; or a limit is passed ([`MAX_HEADER`],
    /// [`MAX_TENSORS`], [`MAX_RANK`](super::MAX_RANK)).
    pub fn read(file: &mut impl Read, size: u64) -> Result<Self, Refusal> {
        let mut length = [0; 8];
        if size < 8 {
            return Err(Refusal::Alien("it ends inside its header".to_string()));
        }
        file.read_exact(&mut length).map_err(Refusal::Io)?;
        if &length == b"version " {
            // No header is as long as these letters would say: what else the file holds is of no interest.
            let mut head = length.to_vec();
            file.take(64).read_to_end(&mut head).map_err(Refusal::Io)?;
            if is_pointer(&head) {
                return Err(Refusal::Pointer);
            }
        }
        let length = u64::from_le_bytes(length);
        if length > MAX_HEADER {
            return Err(Refusal::Alien(format!("a header of {length} bytes")));
        }
        let data = 8 + length;
        if data > size {
            return Err(Refusal::Short { size, needed: data, tensor: None });
        }
        let mut text = vec![0; length as usize];
        file.read_exact(&mut text).map_err(Refusal::Io)?;
        let Members(members) = serde_json::from_slice::<Members<Value>>(&text)
            .map_err(|e| Refusal::Alien(format!("its header is not JSON ({e})")))?;
        drop(text);
        let mut header = Self { metadata: Default::default(), tensors: Vec::new() };
        for (name, value) in members {
            if name == METADATA {
                header.metadata = texts(value)?;
            } else {
                header.tensors.push(entry(name, value, data)?);
            }
        }
        header.tensors.sort_by_key(|tensor| (tensor.begin, tensor.end));
        check(&header.tensors, data).map_err(Refusal::Damaged)?;
        let needed = header.tensors.last().map_or(data, |last| last.end);
        if needed > size {
            let cut = header.tensors.iter().find(|tensor| tensor.end > size);
            let tensor = cut.map(|tensor| (tensor.name.clone(), tensor.end));
            return Err(Refusal::Short { size, needed, tensor });
        }
        if needed < size {
            return Err(Refusal::Damaged(format!("it has {} bytes too many", size - needed)));
        }
        Ok(header)
    }
}

fn texts(value: Value) -> Result<std::collections::BTreeMap<String, String>, Refusal> {
    let texts: Option<_> =
        serde_json::from_value(value).map_err(|e| Refusal::Damaged(format!("its metadata: {e}")))?;
    Ok(texts.unwrap_or_default())
}

fn entry(name: String, value: Value, data: u64) -> Result<Entry, Refusal> {
    let stored: Option<Stored> = serde_json::from_value(value).ok();
    let placed = stored.and_then(|stored| {
        let [begin, end] = stored.data_offsets;
        let placed = data.checked_add(begin).zip(data.checked_add(end));
        placed.filter(|(begin, end)| begin <= end).map(|place| (stored, place))
    });
    match placed {
        Some((stored, (begin, end))) => {
            Ok(Entry { name, dtype: stored.dtype, shape: stored.shape, begin, end })
        }
        None => Err(Refusal::Damaged(format!(
            "tensor {name}: the header does not say its dtype, shape and data_offsets"
        ))),
    }
}
