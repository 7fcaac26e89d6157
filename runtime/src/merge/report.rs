//! Comparing task vectors: what they change, which entries several change, where they disagree in sign.

use std::collections::BTreeMap;
use std::sync::Arc;

use rayon::prelude::*;

use super::kernels::{all_finite, dot};
use super::layout::Layout;
use super::{Input, kernels};
use crate::host::Host;
use crate::ops::Exec;
use crate::{Error, Result};

const PIECE: usize = 1 << 15;

/// What several task vectors do to a part of a model.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Conflicts {
    /// The layer, or `outside` for what lies outside of layers.
    pub group: String,
    /// Entries.
    pub entries: u64,
    /// For each model: entries that it changes.
    pub changed: Vec<u64>,
    /// For each model: the length of its task vector, in the Euclidean norm.
    pub norms: Vec<f64>,
    /// The length of the base.
    pub base_norm: f64,
    /// Entries that several change.
    pub shared: u64,
    /// Of those, the ones that are changed in both directions.
    pub conflicts: u64,
    /// Entries that any changes.
    pub any: u64,
    /// For each pair of models, in the order (0, 1), (0, 2), (1, 2) …: entries that both change.
    pub both: Vec<u64>,
    /// For each pair: of those, the ones on which they disagree in sign.
    pub opposed: Vec<u64>,
    /// For each pair: the cosine between their task vectors; 0 where one is empty.
    pub cosines: Vec<f64>,
    /// The length of the difference of the merged model from the base, if there is one.
    pub merged_norm: Option<f64>,
}

/// Sums over one tensor.
#[derive(Clone)]
struct Sums {
    entries: u64,
    changed: Vec<u64>,
    squares: Vec<f64>,
    base: f64,
    shared: u64,
    conflicts: u64,
    any: u64,
    both: Vec<u64>,
    opposed: Vec<u64>,
    products: Vec<f64>,
    merged: f64,
}

/// Compares the task vectors of `models` from `base`, layer by layer. Tensors outside of layers come first; the last row
/// sums up all. `merged` is a model that was made of them.
pub fn conflicts(
    base: &Arc<dyn Input>,
    models: &[Arc<dyn Input>],
    merged: Option<&Arc<dyn Input>>,
    exec: &Exec,
    host: &Host,
) -> Result<Vec<Conflicts>> {
    let names = base.names();
    let layout = Layout::of(&names);
    let group = |name: &str| -> usize {
        let rest =
            name.strip_prefix(&layout.prefix).and_then(|r| r.split('.').next()).and_then(|n| n.parse().ok());
        rest.map_or(0, |layer: usize| layer + 1)
    };
    let one = |name: &String| -> Result<Option<(usize, Sums)>> {
        let Some(info) = base.info(name).filter(|i| i.float.is_some()) else { return Ok(None) };
        for other in models.iter().chain(merged) {
            if other.info(name).is_none_or(|i| i.shape != info.shape) {
                return Err(Error::mismatch(format!(
                    "{} has no tensor {name} of shape {:?}, which {} has",
                    other.label(),
                    info.shape,
                    base.label()
                )));
            }
        }
        let sums = tensor(name, info.shape.iter().product(), base, models, merged, host)?;
        Ok(Some((group(name), sums)))
    };
    let all = exec.run(|| names.par_iter().map(one).collect::<Result<Vec<_>>>())?;
    let mut groups: BTreeMap<usize, Sums> = BTreeMap::new();
    let mut whole = Sums::new(models.len());
    for (group, sums) in all.into_iter().flatten() {
        whole.add(&sums);
        groups.entry(group).or_insert_with(|| Sums::new(models.len())).add(&sums);
    }
    let name = |group: usize| if group == 0 { "outside".to_string() } else { (group - 1).to_string() };
    let mut rows: Vec<Conflicts> =
        groups.into_iter().map(|(g, sums)| sums.row(name(g), merged.is_some())).collect();
    rows.push(whole.row("all".to_string(), merged.is_some()));
    Ok(rows)
}

fn tensor(
    name: &str,
    len: usize,
    base: &Arc<dyn Input>,
    models: &[Arc<dyn Input>],
    merged: Option<&Arc<dyn Input>>,
    host: &Host,
) -> Result<Sums> {
    let n = models.len();
    let base_reader = base.reader(name)?;
    let readers = models.iter().chain(merged).map(|m| m.reader(name)).collect::<Result<Vec<_>>>()?;
    let mut sums = Sums::new(n);
    let (mut scratch, mut base_scratch) = (Vec::new(), Vec::new());
    let mut deltas = vec![Vec::new(); n];
    for start in (0..len).step_by(PIECE) {
        host.cancel.check()?;
        let size = PIECE.min(len - start);
        let values = base_reader.read(start, size, &mut base_scratch)?;
        sums.entries += size as u64;
        sums.base += dot(values, values);
        for (i, reader) in readers.iter().enumerate() {
            let other = reader.read(start, size, &mut scratch)?;
            if !all_finite(other) {
                return Err(Error::mismatch(format!("tensor {name} holds values that are not finite")));
            }
            let mut delta = vec![0.0; size];
            kernels::difference(&mut delta, other, values);
            match deltas.get_mut(i) {
                Some(place) => *place = delta,
                None => sums.merged += dot(&delta, &delta),
            }
            reader.release(start, size);
        }
        base_reader.release(start, size);
        sums.count(&deltas);
    }
    Ok(sums)
}

impl Sums {
    fn new(n: usize) -> Self {
        let pairs = n * n.saturating_sub(1) / 2;
        Self {
            entries: 0,
            changed: vec![0; n],
            squares: vec![0.0; n],
            base: 0.0,
            shared: 0,
            conflicts: 0,
            any: 0,
            both: vec![0; pairs],
            opposed: vec![0; pairs],
            products: vec![0.0; pairs],
            merged: 0.0,
        }
    }

    fn count(&mut self, deltas: &[Vec<f32>]) {
        let Some(size) = deltas.first().map(Vec::len) else { return };
        for at in 0..size {
            let (mut up, mut down) = (0u64, 0u64);
            for delta in deltas {
                up += u64::from(delta[at] > 0.0);
                down += u64::from(delta[at] < 0.0);
            }
            self.any += u64::from(up + down > 0);
            self.shared += u64::from(up + down > 1);
            self.conflicts += u64::from(up > 0 && down > 0);
        }
        let mut pair = 0;
        for (i, a) in deltas.iter().enumerate() {
            self.changed[i] += a.iter().filter(|v| **v != 0.0).count() as u64;
            self.squares[i] += dot(a, a);
            for b in &deltas[i + 1..] {
                let (mut both, mut opposed) = (0u64, 0u64);
                for (a, b) in a.iter().zip(b) {
                    both += u64::from(*a != 0.0 && *b != 0.0);
                    opposed += u64::from(*a > 0.0 && *b < 0.0 || *a < 0.0 && *b > 0.0);
                }
                self.both[pair] += both;
                self.opposed[pair] += opposed;
                self.products[pair] += dot(a, b);
                pair += 1;
            }
        }
    }

    fn add(&mut self, other: &Self) {
        let whole = |a: &mut Vec<u64>, b: &Vec<u64>| a.iter_mut().zip(b).for_each(|(a, b)| *a += b);
        let real = |a: &mut Vec<f64>, b: &Vec<f64>| a.iter_mut().zip(b).for_each(|(a, b)| *a += b);
        self.entries += other.entries;
        self.base += other.base;
        self.shared += other.shared;
        self.conflicts += other.conflicts;
        self.any += other.any;
        self.merged += other.merged;
        whole(&mut self.changed, &other.changed);
        whole(&mut self.both, &other.both);
        whole(&mut self.opposed, &other.opposed);
        real(&mut self.squares, &other.squares);
        real(&mut self.products, &other.products);
    }

    fn row(self, group: String, merged: bool) -> Conflicts {
        let norms: Vec<f64> = self.squares.iter().map(|s| s.sqrt()).collect();
        let mut cosines = Vec::with_capacity(self.products.len());
        let mut pair = 0;
        for i in 0..norms.len() {
            for j in i + 1..norms.len() {
                let lengths = norms[i] * norms[j];
                cosines.push(if lengths > 0.0 { self.products[pair] / lengths } else { 0.0 });
                pair += 1;
            }
        }
        Conflicts {
            group,
            entries: self.entries,
            changed: self.changed,
            norms,
            base_norm: self.base.sqrt(),
            shared: self.shared,
            conflicts: self.conflicts,
            any: self.any,
            both: self.both,
            opposed: self.opposed,
            cosines,
            merged_norm: merged.then(|| self.merged.sqrt()),
        }
    }
}
