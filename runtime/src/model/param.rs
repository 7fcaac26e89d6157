//! The names, shapes and roles of a model's parameters: what masks, tickets and training agree on.

use std::collections::HashMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// What a parameter is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// The token embedding.
    Embed,
    /// A weight of an attention projection.
    Attention,
    /// A weight of a feed-forward projection.
    Mlp,
    /// The weight of a normalisation.
    Norm,
    /// A bias of any layer.
    Bias,
    /// An output head that is not tied to the embedding.
    Head,
    /// A factor of low rank beside another weight.
    Lora,
}

impl Role {
    /// All roles, in the order they are listed in reports.
    pub const ALL: [Self; 7] =
        [Self::Embed, Self::Attention, Self::Mlp, Self::Norm, Self::Bias, Self::Head, Self::Lora];

    /// The word used in scripts and files.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Embed => "embed",
            Self::Attention => "attention",
            Self::Mlp => "mlp",
            Self::Norm => "norm",
            Self::Bias => "bias",
            Self::Head => "head",
            Self::Lora => "lora",
        }
    }
}

impl std::fmt::Display for Role {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One parameter: its Hugging Face name, its shape and its place in the model.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ParamSpec {
    /// The Hugging Face name, `model.layers.0.mlp.up_proj.weight`.
    pub name: String,
    /// The shape, outermost dimension first.
    pub shape: Vec<usize>,
    /// What it is for.
    pub role: Role,
    /// The index of its decoder layer; `None` for embedding, final norm and head.
    pub layer: Option<usize>,
}

impl ParamSpec {
    /// The number of entries.
    pub fn entries(&self) -> u64 {
        self.shape.iter().map(|&d| d as u64).product()
    }

    /// Rows and columns as a matrix: a vector is one row, and leading dimensions fold into rows.
    pub fn rows_cols(&self) -> (usize, usize) {
        let cols = self.shape.last().copied().unwrap_or(1);
        (self.shape.iter().rev().skip(1).product(), cols)
    }

    /// Whether this is one of the matrices that LoTA adapts by default: a two-dimensional weight
    /// of attention or of the feed-forward layers.
    pub fn adaptable(&self) -> bool {
        self.shape.len() == 2 && matches!(self.role, Role::Attention | Role::Mlp)
    }
}

/// The ordered list of a model's parameters. Two universes are equal when every name and shape is,
/// in the same order.
#[derive(Debug)]
pub struct Universe {
    specs: Vec<ParamSpec>,
    by_name: HashMap<String, usize>,
    fingerprint: String,
    entries: u64,
}

/// The most rows of all parameters together; the largest models have some millions. A mask takes a number for each row of
/// a parameter that has a single entry, and the shapes may be what a file of some bytes says.
const MOST_ROWS: u64 = 1 << 26;

impl Universe {
    /// A universe of these parameters, in this order. Names must differ, and no parameter may be
    /// empty or have more than 2^32 entries (entries are indexed with 32 bits). All together have at most 2^26 rows.
    pub fn new(specs: Vec<ParamSpec>) -> Result<Arc<Self>> {
        let mut by_name = HashMap::with_capacity(specs.len());
        let mut hash = blake3::Hasher::new();
        let (mut entries, mut rows) = (0, 0);
        for (i, spec) in specs.iter().enumerate() {
            let count = spec.shape.iter().try_fold(1u64, |n, &d| n.checked_mul(d as u64));
            let count = count.filter(|&n| n <= 1 << 32).ok_or_else(|| {
                Error::argument(format!(
                    "parameter {} has shape {:?}: more than 2^32 entries, which a mask cannot index",
                    spec.name, spec.shape
                ))
            })?;
            if count == 0 {
                return Err(Error::argument(format!(
                    "parameter {} has no entries (shape {:?})",
                    spec.name, spec.shape
                )));
            }
            if by_name.insert(spec.name.clone(), i).is_some() {
                return Err(Error::argument(format!("parameter {} is listed twice", spec.name)));
            }
            entries += count;
            rows += spec.rows_cols().0 as u64;
            if rows > MOST_ROWS {
                return Err(Error::argument(format!(
                    "parameter {} has shape {:?}: it and those before it have {rows} rows, and a model here has at most \
                     {MOST_ROWS}",
                    spec.name, spec.shape
                )));
            }
            hash.update(&(spec.name.len() as u64).to_le_bytes());
            hash.update(spec.name.as_bytes());
            hash.update(&(spec.shape.len() as u64).to_le_bytes());
            for &dim in &spec.shape {
                hash.update(&(dim as u64).to_le_bytes());
            }
        }
        let fingerprint = hash.finalize().to_hex().to_string();
        Ok(Arc::new(Self { specs, by_name, fingerprint, entries }))
    }

    /// The number of parameters.
    pub fn len(&self) -> usize {
        self.specs.len()
    }

    /// Whether there are no parameters.
    pub fn is_empty(&self) -> bool {
        self.specs.is_empty()
    }

    /// The parameters in order.
    pub fn specs(&self) -> &[ParamSpec] {
        &self.specs
    }

    /// The parameter at an index.
    ///
    /// # Panics
    /// When `index` is not below [`Universe::len`].
    pub fn spec(&self, index: usize) -> &ParamSpec {
        &self.specs[index]
    }

    /// The index of a name, if there is such a parameter.
    pub fn index_of(&self, name: &str) -> Option<usize> {
        self.by_name.get(name).copied()
    }

    /// The index of a name; an error that offers the nearest name if there is no such parameter.
    pub fn get(&self, name: &str) -> Result<usize> {
        self.index_of(name).ok_or_else(|| {
            Error::argument(match lota_host::closest(name, self.specs.iter().map(|s| s.name.as_str())) {
                Some(near) => format!("no parameter is called {name:?}; did you mean {near:?}?"),
                None => format!("no parameter is called {name:?}: the model has none"),
            })
        })
    }

    /// The number of entries of all parameters together.
    pub fn entries(&self) -> u64 {
        self.entries
    }

    /// A hash of the names and shapes in order, in hexadecimal.
    pub fn fingerprint(&self) -> &str {
        &self.fingerprint
    }

    /// An error naming the first parameter that differs, unless both universes are equal.
    pub fn check_same(&self, other: &Self) -> Result<()> {
        if self.fingerprint == other.fingerprint {
            return Ok(());
        }
        let differs = |text: String| Err(Error::mismatch(format!("not of the same model: {text}")));
        for (a, b) in self.specs.iter().zip(&other.specs) {
            if a.name != b.name {
                return differs(format!("one has parameter {} where the other has {}", a.name, b.name));
            }
            if a.shape != b.shape {
                return differs(format!(
                    "parameter {} has shape {:?} in one and {:?} in the other",
                    a.name, a.shape, b.shape
                ));
            }
        }
        let shorter = self.len().min(other.len());
        let longer = if self.len() > other.len() { self } else { other };
        match longer.specs.get(shorter) {
            Some(spec) => differs(format!("parameter {} is only in one of them", spec.name)),
            None => differs("their parameters hash differently".to_string()),
        }
    }
}

impl PartialEq for Universe {
    fn eq(&self, other: &Self) -> bool {
        self.fingerprint == other.fingerprint
    }
}

impl Eq for Universe {}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(name: &str, shape: &[usize]) -> ParamSpec {
        ParamSpec { name: name.to_string(), shape: shape.to_vec(), role: Role::Mlp, layer: Some(0) }
    }

    #[test]
    fn an_unknown_name_offers_the_nearest() {
        let u = Universe::new(vec![spec("mlp.up_proj.weight", &[2, 3]), spec("norm.weight", &[3])])
            .expect("valid");
        assert_eq!(u.get("norm.weight").expect("known"), 1);
        assert_eq!(u.entries(), 9);
        assert_eq!(
            u.get("mlp.upproj.weight").expect_err("unknown").to_string(),
            "no parameter is called \"mlp.upproj.weight\"; did you mean \"mlp.up_proj.weight\"?"
        );
    }

    #[test]
    fn different_universes_name_the_first_difference() {
        let u = |specs: &[ParamSpec]| Universe::new(specs.to_vec()).expect("valid");
        let a = u(&[spec("a", &[2, 3]), spec("b", &[3])]);
        assert!(a.check_same(&u(&[spec("a", &[2, 3]), spec("b", &[3])])).is_ok());
        let text = |b: &Universe| a.check_same(b).expect_err("different").to_string();
        assert_eq!(
            text(&u(&[spec("a", &[3, 2]), spec("b", &[3])])),
            "not of the same model: parameter a has shape [2, 3] in one and [3, 2] in the other"
        );
        assert_eq!(
            text(&u(&[spec("a", &[2, 3]), spec("c", &[3])])),
            "not of the same model: one has parameter b where the other has c"
        );
        assert_eq!(
            text(&u(&[spec("a", &[2, 3])])),
            "not of the same model: parameter b is only in one of them"
        );
    }

    #[test]
    fn bad_parameters_are_refused_by_name() {
        let text = |specs: Vec<ParamSpec>| Universe::new(specs).expect_err("invalid").to_string();
        assert_eq!(text(vec![spec("a", &[1]), spec("a", &[1])]), "parameter a is listed twice");
        assert_eq!(text(vec![spec("a", &[0, 4])]), "parameter a has no entries (shape [0, 4])");
        assert_eq!(
            text(vec![spec("a", &[1 << 17, 1 << 16])]),
            "parameter a has shape [131072, 65536]: more than 2^32 entries, which a mask cannot index"
        );
        assert_eq!(
            text(vec![spec("a", &[1 << 26]), spec("b", &[1 << 25, 2]), spec("c", &[1 << 25, 1])]),
            "parameter c has shape [33554432, 1]: it and those before it have 67108865 rows, and a model here has at \
             most 67108864"
        );
    }
}
