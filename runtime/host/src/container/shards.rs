//! Tensors in several files: how they are cut, what the files are called, and the index that says which file holds
//! which tensor. The names are those of Hugging Face.

use std::collections::HashMap;
use std::ops::Range;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};

use crate::{Error, Result, read_bytes};

/// The name of the index of several files.
pub const INDEX: &str = "model.safetensors.index.json";
/// The names under which the weights of a model lie in its folder, the first that is there counts: one file, and the index
/// of several. The second are those of torch.
pub const LAYOUTS: [(&str, &str); 2] =
    [("model.safetensors", INDEX), ("pytorch_model.bin", "pytorch_model.bin.index.json")];

/// Cuts tensors of these sizes (in bytes), in their order, into files of at most `most` bytes. A tensor that is larger
/// gets a file of its own. There is at least one file.
pub fn cut(sizes: &[u64], most: u64) -> Vec<Range<usize>> {
    let mut files = Vec::new();
    let (mut first, mut filled) = (0, 0u64);
    for (i, &size) in sizes.iter().enumerate() {
        if i > first && filled.checked_add(size).is_none_or(|sum| sum > most) {
            files.push(first..i);
            (first, filled) = (i, 0);
        }
        filled = filled.saturating_add(size);
    }
    files.push(first..sizes.len());
    files
}

/// The name of file `at` (from 0) of `count`.
pub fn file_name(at: usize, count: usize) -> String {
    match count {
        1 => "model.safetensors".to_string(),
        _ => format!("model-{:05}-of-{count:05}.safetensors", at + 1),
    }
}

/// The text of the index: the bytes of all tensors, and for each tensor its file.
///
/// # Errors
///
/// Two tensors of one name.
pub fn index<'a>(total: u64, places: impl IntoIterator<Item = (&'a str, &'a str)>) -> Result<String> {
    let mut map = Map::new();
    for (tensor, file) in places {
        if map.insert(tensor.to_string(), json!(file)).is_some() {
            return Err(Error::argument(format!("two tensors are called {tensor}")));
        }
    }
    let index = json!({ "metadata": { "total_size": total }, "weight_map": Value::Object(map) });
    Ok(format!("{index:#}\n"))
}

/// The files that an index lists, each once, in order of name; they lie beside it.
///
/// # Errors
///
/// The index is damaged, names a file in another folder, or one that is not there.
pub fn listed(index: &Path) -> Result<Vec<PathBuf>> {
    let text = read_bytes(index)?;
    let value: Value =
        serde_json::from_slice(&text).map_err(|e| Error::format(index, format!("not JSON: {e}")))?;
    let map = value
        .get("weight_map")
        .and_then(Value::as_object)
        .ok_or_else(|| Error::format(index, "has no weight_map that says which file holds which tensor"))?;
    let folder = index.parent().unwrap_or(Path::new("."));
    let mut files: HashMap<&str, &str> = HashMap::new();
    for (tensor, file) in map {
        let file = file.as_str().filter(|f| !f.is_empty() && !f.contains(['/', '\\'])).ok_or_else(|| {
            Error::format(index, format!("tensor {tensor}: {file} is not the name of a file"))
        })?;
        files.entry(file).or_insert(tensor);
    }
    let mut files: Vec<_> = files.into_iter().collect();
    files.sort_unstable();
    files
        .into_iter()
        .map(|(file, tensor)| {
            let path = folder.join(file);
            if path.exists() {
                Ok(path)
            } else {
                Err(Error::format(index, format!("tensor {tensor} lies in {file}, which is not there")))
            }
        })
        .collect()
}

/// Which part of a split file a name says that it is: `name-00002-of-00003.gguf`, as llama.cpp cuts them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    stem: String,
    /// The part, from 0.
    pub at: usize,
    /// How many there are.
    pub count: usize,
}

impl Part {
    /// What the name of the file at `path` says; `None` if it is not that of a part.
    pub fn of(path: &Path) -> Option<Self> {
        let name = path.file_name()?.to_str()?.strip_suffix(".gguf")?;
        let (rest, count) = name.rsplit_once("-of-")?;
        let (stem, at) = rest.rsplit_once('-')?;
        let number = |digits: &str| -> Option<usize> {
            (digits.len() == 5 && digits.bytes().all(|b| b.is_ascii_digit())).then(|| digits.parse().ok())?
        };
        let (at, count) = (number(at)?.checked_sub(1)?, number(count)?);
        (at < count).then(|| Self { stem: stem.to_string(), at, count })
    }

    /// What part `at` (from 0) of the same file is called.
    pub fn name(&self, at: usize) -> String {
        format!("{}-{:05}-of-{:05}.gguf", self.stem, at + 1, self.count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_hold_what_fits_and_at_least_one_tensor() {
        let ends = |sizes: &[u64], most| {
            cut(sizes, most).iter().map(|file| (file.start, file.end)).collect::<Vec<_>>()
        };
        assert_eq!(ends(&[3, 3, 3, 9, 1, 8], 6), [(0, 2), (2, 3), (3, 4), (4, 5), (5, 6)]);
        assert_eq!(ends(&[3, 3], 6), [(0, 2)]);
        assert_eq!(ends(&[7], 6), [(0, 1)]);
        assert_eq!(ends(&[], 6), [(0, 0)]);
        assert_eq!(ends(&[u64::MAX, u64::MAX], u64::MAX), [(0, 1), (1, 2)]);
    }

    #[test]
    fn a_part_is_known_by_its_name() {
        let part = Part::of(Path::new("a/b-c-00002-of-00003.gguf")).expect("is one");
        assert_eq!((part.at, part.count, part.name(0)), (1, 3, "b-c-00001-of-00003.gguf".to_string()));
        for name in [
            "b.gguf",
            "b-00002-of-00003.bin",
            "b-2-of-3.gguf",
            "b-00004-of-00003.gguf",
            "b-00000-of-00003.gguf",
            "b-+0002-of-00003.gguf",
        ] {
            assert_eq!(Part::of(Path::new(name)), None, "{name}");
        }
    }

    #[test]
    fn names_and_index_are_those_that_transformers_reads() -> Result<()> {
        assert_eq!(file_name(0, 1), "model.safetensors");
        assert_eq!(file_name(1, 12), "model-00002-of-00012.safetensors");
        let text = index(12, [("b", "x"), ("a", "y")])?;
        let read: Value = serde_json::from_str(&text).expect("is JSON");
        assert_eq!(read, json!({ "metadata": { "total_size": 12 }, "weight_map": { "b": "x", "a": "y" } }));
        assert!(text.ends_with("}\n"));
        assert!(index(1, [("a", "x"), ("a", "y")]).is_err());
        Ok(())
    }
}
