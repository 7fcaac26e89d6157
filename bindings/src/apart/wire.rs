//! Values as bytes, in frames of a bounded size. The other side is not trusted: the size of a frame is looked at before it is read,
//! values may nest only so deep, and what a frame unpacks to is bounded too.
//!
//! A frame is four bytes, the length of what follows (least byte first), and one value. A value is a byte for its kind and what
//! belongs to it. It knows nothing of what the values mean; things that stay on their side are numbers here ([`Handle`]).

use lota_script::{Map, Value};

/// How deep values may nest. Frontends allow 64.
const DEPTH: usize = 100;

/// What a frame that is no value is told as.
pub(crate) type Fault = String;

/// A thing that stays in the process it belongs to.
pub(crate) struct Handle {
    /// Whether it belongs to the process that says this.
    pub own: bool,
    /// Its number there.
    pub id: u64,
    /// The type of an object, or the primitive that a function is.
    pub name: Option<String>,
    /// How it is printed.
    pub shown: String,
    /// The large memory it keeps alive.
    pub bytes: u64,
}

/// From things to handles and back.
pub(crate) trait Things {
    /// The handle of an object or a function.
    fn handle(&self, value: &Value) -> Handle;
    /// The object or the function.
    fn thing(&self, handle: Handle, function: bool) -> Result<Value, Fault>;
}

/// A frame with a value, or the bytes that it would have too many.
pub(crate) fn frame(value: &Value, things: &dyn Things, most: usize) -> Result<Vec<u8>, Fault> {
    let mut out = vec![0; 4];
    put(&mut out, value, things, DEPTH)?;
    let length = out.len() - 4;
    match u32::try_from(length) {
        Ok(header) if length <= most => {
            out[..4].copy_from_slice(&header.to_le_bytes());
            Ok(out)
        }
        _ => Err(format!("it takes {length} bytes, and a message may have {most}")),
    }
}

/// The length of the frame whose first bytes these are, once it is known.
pub(crate) fn length(bytes: &[u8], most: usize) -> Result<Option<usize>, Fault> {
    let Some(header) = bytes.first_chunk::<4>() else { return Ok(None) };
    match u32::from_le_bytes(*header) as usize {
        length if length <= most => Ok(Some(length + 4)),
        length => Err(format!("a message of {length} bytes; it may have {most}")),
    }
}

/// The value of a frame's bytes after its length.
pub(crate) fn value(bytes: &[u8], things: &dyn Things, most: usize) -> Result<Value, Fault> {
    let mut reader = Reader { bytes, things, left: most.saturating_mul(4) };
    let value = reader.value(DEPTH)?;
    if reader.bytes.is_empty() { Ok(value) } else { Err("a message with more than a value".into()) }
}

fn put(out: &mut Vec<u8>, value: &Value, things: &dyn Things, depth: usize) -> Result<(), Fault> {
    let depth = depth.checked_sub(1).ok_or("its values nest too deep")?;
    match value {
        Value::Nil => out.push(0),
        Value::Bool(truth) => out.push(1 + u8::from(*truth)),
        Value::Int(number) => {
            out.push(3);
            out.extend(number.to_le_bytes());
        }
        Value::Float(number) => {
            out.push(4);
            out.extend(number.to_bits().to_le_bytes());
        }
        Value::Str(text) => {
            out.push(5);
            put_text(out, text)?;
        }
        Value::List(items) => {
            out.push(6);
            put_count(out, items.len())?;
            items.iter().try_for_each(|item| put(out, item, things, depth))?;
        }
        Value::Map(map) => {
            out.push(7);
            put_count(out, map.len())?;
            for (name, value) in map.iter() {
                put_text(out, name)?;
                put(out, value, things, depth)?;
            }
        }
        Value::Function(_) | Value::Object(_) => {
            let handle = things.handle(value);
            out.push(if matches!(value, Value::Function(_)) { 8 } else { 9 });
            out.push(u8::from(handle.own) + 2 * u8::from(handle.name.is_some()));
            out.extend(handle.id.to_le_bytes());
            out.extend(handle.bytes.to_le_bytes());
            put_text(out, handle.name.as_deref().unwrap_or_default())?;
            put_text(out, &handle.shown)?;
        }
    }
    Ok(())
}

fn put_count(out: &mut Vec<u8>, count: usize) -> Result<(), Fault> {
    out.extend(u32::try_from(count).map_err(|_| "it is too long")?.to_le_bytes());
    Ok(())
}

fn put_text(out: &mut Vec<u8>, text: &str) -> Result<(), Fault> {
    put_count(out, text.len())?;
    out.extend(text.as_bytes());
    Ok(())
}

struct Reader<'a> {
    bytes: &'a [u8],
    things: &'a dyn Things,
    /// The bytes that values may still take in memory.
    left: usize,
}

impl<'a> Reader<'a> {
    fn take(&mut self, length: usize) -> Result<&'a [u8], Fault> {
        let (taken, rest) = self.bytes.split_at_checked(length).ok_or("a message that ends too early")?;
        self.bytes = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Fault> {
        let mut array = [0; N];
        array.copy_from_slice(self.take(N)?);
        Ok(array)
    }

    fn spend(&mut self, bytes: usize) -> Result<(), Fault> {
        self.left = self.left.checked_sub(bytes).ok_or("a message that unpacks to too much")?;
        Ok(())
    }

    /// A count of things that take at least `least` bytes each in the frame and `memory` in memory.
    fn count(&mut self, least: usize, memory: usize) -> Result<usize, Fault> {
        let count = u32::from_le_bytes(self.array()?) as usize;
        if count > self.bytes.len() / least {
            return Err("a message that ends too early".into());
        }
        self.spend(count.saturating_mul(memory))?;
        Ok(count)
    }

    fn text(&mut self) -> Result<String, Fault> {
        let length = self.count(1, 1)?;
        let bytes = self.take(length)?;
        String::from_utf8(bytes.to_vec()).map_err(|_| "a text that is not UTF-8".into())
    }

    fn value(&mut self, depth: usize) -> Result<Value, Fault> {
        let depth = depth.checked_sub(1).ok_or("a message whose values nest too deep")?;
        let [kind] = self.array()?;
        Ok(match kind {
            0 => Value::Nil,
            1 | 2 => Value::Bool(kind == 2),
            3 => Value::Int(i64::from_le_bytes(self.array()?)),
            4 => Value::Float(f64::from_bits(u64::from_le_bytes(self.array()?))),
            5 => Value::Str(self.text()?),
            6 => {
                let count = self.count(1, size_of::<Value>())?;
                Value::List((0..count).map(|_| self.value(depth)).collect::<Result<_, _>>()?)
            }
            7 => {
                let count = self.count(5, size_of::<(String, Value)>())?;
                let mut entries = Vec::with_capacity(count);
                for _ in 0..count {
                    entries.push((self.text()?, self.value(depth)?));
                }
                Value::Map(distinct(entries)?)
            }
            8 | 9 => {
                self.spend(256)?;
                let [flags] = self.array()?;
                let id = u64::from_le_bytes(self.array()?);
                let bytes = u64::from_le_bytes(self.array()?);
                let (name, shown) = (self.text()?, self.text()?);
                let name = (flags & 2 != 0).then_some(name);
                self.things.thing(Handle { own: flags & 1 != 0, id, name, shown, bytes }, kind == 8)?
            }
            _ => return Err(format!("a message with a value of kind {kind}")),
        })
    }
}

/// A map, whose names must differ.
fn distinct(entries: Vec<(String, Value)>) -> Result<Map, Fault> {
    let mut names: Vec<&str> = entries.iter().map(|(name, _)| name.as_str()).collect();
    names.sort_unstable();
    if names.windows(2).any(|pair| pair[0] == pair[1]) {
        return Err("a message with a name twice".into());
    }
    Ok(entries.into_iter().collect())
}

#[cfg(test)]
mod tests {
    use lota_script::{from_json, to_json};
    use proptest::prelude::*;

    use super::*;

    /// Nothing has a handle.
    struct None;

    impl Things for None {
        fn handle(&self, _: &Value) -> Handle {
            unreachable!("no test sends a thing")
        }

        fn thing(&self, _: Handle, _: bool) -> Result<Value, Fault> {
            Err("nothing".into())
        }
    }

    fn values() -> impl Strategy<Value = serde_json::Value> {
        let leaf = prop_oneof![
            Just(serde_json::Value::Null),
            any::<bool>().prop_map(Into::into),
            any::<i64>().prop_map(Into::into),
            (-1e300..1e300).prop_map(|x: f64| x.into()),
            ".{0,12}".prop_map(|s: String| s.into()),
        ];
        leaf.prop_recursive(5, 60, 8, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..6).prop_map(serde_json::Value::from),
                prop::collection::btree_map("[a-z]{0,4}", inner, 0..6)
                    .prop_map(|map| serde_json::Value::Object(map.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn what_is_framed_comes_back(json in values()) {
            let given = from_json(json.clone());
            let bytes = frame(&given, &None, 1 << 20).expect("is small");
            prop_assert_eq!(length(&bytes, 1 << 20), Ok(Some(bytes.len())));
            let back = value(&bytes[4..], &None, 1 << 20).expect("reads");
            prop_assert_eq!(to_json(&back).expect("is JSON"), to_json(&given).expect("is JSON"));
        }

        #[test]
        fn any_bytes_are_a_value_or_a_fault(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            drop(value(&bytes, &None, 1 << 10));
        }

        #[test]
        fn a_cut_frame_is_a_fault(json in values(), cut in any::<prop::sample::Index>()) {
            let bytes = frame(&from_json(json), &None, 1 << 20).expect("is small");
            let inner = &bytes[4..];
            prop_assert!(value(&inner[..cut.index(inner.len())], &None, 1 << 20).is_err());
        }
    }

    #[test]
    fn sizes_and_depths_are_bounded_on_both_sides() {
        let deep = (0..200).fold(Value::Nil, |inner, _| Value::List(vec![inner]));
        assert!(frame(&deep, &None, 1 << 20).expect_err("is deep").contains("deep"));
        let mut bytes: Vec<u8> = std::iter::repeat_n([6, 1, 0, 0, 0], 100_000).flatten().collect();
        bytes.push(0);
        assert!(value(&bytes, &None, 1 << 20).expect_err("is deep").contains("deep"));
        let long = Value::Str("x".repeat(2000));
        assert!(frame(&long, &None, 1000).expect_err("is long").contains("may have 1000"));
        assert!(length(&[0xff; 4], 1000).expect_err("is long").contains("may have 1000"));
        let mut many = vec![6];
        many.extend(1000u32.to_le_bytes());
        many.extend([0; 1000]);
        assert!(value(&many, &None, 1005).expect_err("is much").contains("unpacks"), "a byte is a value");
        assert!(
            value(&[6, 255, 255, 255, 255], &None, 1 << 30).is_err(),
            "a count that the bytes cannot hold"
        );
    }

    #[test]
    fn numbers_keep_their_bits() {
        for bits in [0x7ff8_0000_0000_0001, 0x8000_0000_0000_0000, 0xfff0_0000_0000_0000_u64] {
            let bytes = frame(&Value::Float(f64::from_bits(bits)), &None, 100).expect("is small");
            let Ok(Value::Float(back)) = value(&bytes[4..], &None, 100) else { panic!("no number") };
            assert_eq!(back.to_bits(), bits);
        }
    }
}
