//! A tensor as a pickle describes it: its type, its shape, and where its entries lie in a storage.

use super::pickle::Value;

/// What is said of one tensor.
#[derive(Clone, Debug)]
pub(crate) struct Described {
    /// The record that holds its storage.
    pub(crate) record: String,
    /// The type of an entry, as safetensors spells it.
    pub(crate) dtype: &'static str,
    /// The bytes of an entry.
    pub(crate) width: usize,
    /// The entry of the storage that is its first.
    pub(crate) offset: usize,
    /// Its dimensions.
    pub(crate) shape: Vec<usize>,
    /// How many entries of the storage lie between two that follow each other in a dimension.
    pub(crate) stride: Vec<usize>,
}

/// The types by the names of their storages, and of the types that have no storage of their own; as safetensors spells
/// them, and their bytes.
const TYPES: [(&str, &str, &str, usize); 12] = [
    ("BoolStorage", "bool", "BOOL", 1),
    ("ByteStorage", "uint8", "U8", 1),
    ("CharStorage", "int8", "I8", 1),
    ("ShortStorage", "int16", "I16", 2),
    ("IntStorage", "int32", "I32", 4),
    ("LongStorage", "int64", "I64", 8),
    ("HalfStorage", "float16", "F16", 2),
    ("BFloat16Storage", "bfloat16", "BF16", 2),
    ("FloatStorage", "float32", "F32", 4),
    ("DoubleStorage", "float64", "F64", 8),
    ("", "float8_e4m3fn", "F8_E4M3", 1),
    ("", "float8_e5m2", "F8_E5M2", 1),
];

impl Described {
    /// The tensor that a value describes, or what is wrong with it.
    pub(crate) fn of(value: &Value) -> Result<Self, String> {
        if value.pairs().is_some() {
            return Err("is a dictionary, not a tensor: save the inner dictionary by itself".into());
        }
        let (mut function, mut args) = value.call().ok_or("is not a tensor")?;
        if function == "_rebuild_parameter" {
            let inner = args.first().and_then(Value::call);
            (function, args) = inner.ok_or("is not a tensor")?;
        }
        let [storage, offset, shape, stride, ..] = args else { return Err("is not a tensor".into()) };
        let Value::Persistent(storage, _) = storage else { return Err("has no storage".into()) };
        let Some([_, Value::Global(class), record, ..]) = storage.items() else {
            return Err("has no storage".into());
        };
        let of_storage = class.1.as_str();
        let found = match (function, args) {
            ("_rebuild_tensor_v2", _) => TYPES.iter().find(|(name, ..)| *name == of_storage),
            ("_rebuild_tensor_v3", [_, _, _, _, _, _, Value::Global(dtype), ..]) => {
                TYPES.iter().find(|(_, name, ..)| *name == dtype.1)
            }
            _ => return Err(format!("is made by {function}, not a plain tensor")),
        };
        let (.., dtype, width) = found.ok_or_else(|| format!("holds {of_storage}, which is not read"))?;
        let parts = (|| Some((record.text()?, offset.size()?, shape.sizes()?, stride.sizes()?)))();
        let (record, offset, shape, stride) = parts.ok_or("is described in an unknown way")?;
        if shape.len() != stride.len() {
            return Err(format!("has shape {shape:?} and steps {stride:?}"));
        }
        Ok(Self { record: record.to_string(), dtype, width: *width, offset, shape, stride })
    }

    /// The number of entries.
    pub(crate) fn count(&self) -> Option<usize> {
        self.shape.iter().try_fold(1usize, |n, &d| n.checked_mul(d))
    }

    /// Where the last entry ends in the storage, in entries; no dimension is empty.
    pub(crate) fn reach(&self) -> Option<usize> {
        let mut dims = self.shape.iter().zip(&self.stride);
        dims.try_fold(self.offset, |at, (&d, &s)| at.checked_add((d - 1).checked_mul(s)?))?.checked_add(1)
    }

    /// Whether its entries lie one after the other in row-major order.
    pub(crate) fn is_contiguous(&self) -> bool {
        let mut step = 1usize;
        self.shape.iter().zip(&self.stride).rev().all(|(&dim, &stride)| {
            let fits = dim == 1 || stride == step;
            step = step.saturating_mul(dim);
            fits
        })
    }
}

/// Steps `place` to the next entry in row-major order and returns where it lies, given where the one before lay.
pub(crate) fn next(shape: &[usize], stride: &[usize], place: &mut [usize], mut at: usize) -> usize {
    for (d, place) in place.iter_mut().enumerate().rev() {
        *place += 1;
        at += stride[d];
        if *place < shape[d] {
            break;
        }
        at -= *place * stride[d];
        *place = 0;
    }
    at
}
