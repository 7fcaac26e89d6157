//! What may change in a training: whole parameters, masked entries, or nothing.

use std::sync::Arc;

use rayon::prelude::*;
use roaring::RoaringBitmap;

use crate::mask::Mask;
use crate::model::decoder::Want;
use crate::model::{ParamSpec, Universe};
use crate::ops::SparseIndex;
use crate::{Error, Result};

/// For each parameter of a model, what of it may change.
#[derive(Clone, Debug)]
pub struct Selection {
    universe: Arc<Universe>,
    wants: Vec<Want>,
    entries: u64,
    fingerprint: String,
}

impl Selection {
    /// Whole parameters: those for which `choose` is true.
    pub fn dense(universe: Arc<Universe>, choose: impl Fn(&ParamSpec) -> bool) -> Result<Self> {
        let want = |spec| if choose(spec) { Want::Dense } else { Want::No };
        let wants = universe.specs().iter().map(want).collect();
        Self::new(universe, wants)
    }

    /// The entries of a mask.
    pub fn masked(mask: &Mask) -> Result<Self> {
        Self::sets(mask.universe().clone(), mask.sets())
    }

    /// The entries of these sets, one for each parameter, as flat row-major positions. A parameter
    /// all of whose entries are in its set is trained whole.
    pub fn sets(universe: Arc<Universe>, sets: &[RoaringBitmap]) -> Result<Self> {
        if sets.len() != universe.len() {
            return Err(Error::mismatch(format!(
                "{} sets were given for the {} parameters of the model",
                sets.len(),
                universe.len()
            )));
        }
        let want = |(spec, set): (&ParamSpec, &RoaringBitmap)| {
            if set.is_empty() {
                return Ok(Want::No);
            }
            if set.len() == spec.entries() {
                return Ok(Want::Dense);
            }
            let (rows, cols) = spec.rows_cols();
            Ok(Want::At(Arc::new(SparseIndex::from_sorted(rows, cols, set.iter())?)))
        };
        let wants = universe.specs().par_iter().zip(sets).map(want).collect::<Result<_>>()?;
        Self::new(universe, wants)
    }

    fn new(universe: Arc<Universe>, wants: Vec<Want>) -> Result<Self> {
        let count = |(spec, want): (&ParamSpec, &Want)| match want {
            Want::No => 0,
            Want::Dense => spec.entries(),
            Want::At(index) => index.nnz() as u64,
        };
        let entries = universe.specs().iter().zip(&wants).map(count).sum();
        if entries == 0 {
            return Err(Error::argument(
                "nothing is selected for training: the mask or the list of parameters is empty",
            ));
        }
        let fingerprint = fingerprint(&universe, &wants);
        Ok(Self { universe, wants, entries, fingerprint })
    }

    /// The parameters it is about.
    pub fn universe(&self) -> &Arc<Universe> {
        &self.universe
    }

    /// What a backward pass is to be asked for.
    pub fn wants(&self) -> &[Want] {
        &self.wants
    }

    /// The number of entries that may change.
    pub fn entries(&self) -> u64 {
        self.entries
    }

    /// A hash of what may change: equal for equal selections.
    pub fn fingerprint(&self) -> &str {
        &self.fingerprint
    }
}

fn fingerprint(universe: &Universe, wants: &[Want]) -> String {
    let part = |want: &Want| -> blake3::Hash {
        match want {
            Want::No => blake3::hash(b"no"),
            Want::Dense => blake3::hash(b"dense"),
            Want::At(index) => {
                let mut hasher = blake3::Hasher::new();
                hasher.update(b"at");
                let mut bytes = Vec::with_capacity(4 * index.cols() + 4);
                for row in 0..index.rows() {
                    bytes.clear();
                    let range = index.row(row);
                    bytes.extend((range.len() as u32).to_le_bytes());
                    bytes.extend(range.flat_map(|k| (index.col(k) as u32).to_le_bytes()));
                    hasher.update(&bytes);
                }
                hasher.finalize()
            }
        }
    };
    let parts: Vec<blake3::Hash> = wants.par_iter().map(part).collect();
    let mut hasher = blake3::Hasher::new();
    hasher.update(universe.fingerprint().as_bytes());
    for part in &parts {
        hasher.update(part.as_bytes());
    }
    hasher.finalize().to_hex().to_string()
}
