//! Figures about masks: counts and overlaps by parameter, layer or role, and the capacity that a
//! sequence of masks leaves.

use std::collections::BTreeMap;

use super::algebra::{intersection, union};
use super::{Mask, fraction};
use crate::model::{ParamSpec, Role};
use crate::{Error, Result};

/// How figures are grouped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    /// One row for each parameter.
    Parameter,
    /// One row for each decoder layer, and one for what lies outside.
    Layer,
    /// One row for each role.
    Role,
    /// A single row.
    All,
}

impl By {
    /// The grouping of a word used in scripts.
    pub fn parse(word: &str) -> Result<Self> {
        match word {
            "parameter" => Ok(Self::Parameter),
            "layer" => Ok(Self::Layer),
            "role" => Ok(Self::Role),
            "all" => Ok(Self::All),
            _ => Err(Error::argument(format!(
                "{word:?} is no grouping: use \"parameter\", \"layer\", \"role\" or \"all\""
            ))),
        }
    }

    /// The place of a parameter among the groups, and the group's name. What lies outside the
    /// layers comes first.
    fn key(self, index: usize, spec: &ParamSpec) -> (usize, String) {
        match (self, spec.layer) {
            (Self::Parameter, _) => (index, spec.name.clone()),
            (Self::Layer, Some(layer)) => (layer + 1, layer.to_string()),
            (Self::Layer, None) => (0, "outside".to_string()),
            (Self::Role, _) => {
                let place = Role::ALL.iter().position(|&role| role == spec.role);
                (place.unwrap_or(Role::ALL.len()), spec.role.to_string())
            }
            (Self::All, _) => (0, "all".to_string()),
        }
    }
}

/// How many entries of a group are selected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Count {
    /// The parameter, layer or role; `outside` is what lies outside the layers.
    pub group: String,
    /// Entries in the group.
    pub entries: u64,
    /// Entries of it in the mask.
    pub selected: u64,
}

impl Count {
    /// The selected fraction.
    pub fn density(&self) -> f64 {
        fraction(self.selected, self.entries)
    }
}

/// How two masks meet in a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Overlap {
    /// The parameter, layer or role; `outside` is what lies outside the layers.
    pub group: String,
    /// Entries in the group.
    pub entries: u64,
    /// Entries in the first mask.
    pub first: u64,
    /// Entries in the second mask.
    pub second: u64,
    /// Entries in both.
    pub both: u64,
}

impl Overlap {
    /// The size of the intersection over the size of the union; 1 where both are empty.
    pub fn jaccard(&self) -> f64 {
        let either = self.first + self.second - self.both;
        if either == 0 { 1.0 } else { self.both as f64 / either as f64 }
    }
}

impl Mask {
    /// How many entries are selected, by group.
    pub fn by(&self, by: By) -> Vec<Count> {
        let mut groups: BTreeMap<usize, Count> = BTreeMap::new();
        for (i, (spec, set)) in self.universe().specs().iter().zip(self.sets()).enumerate() {
            let (place, group) = by.key(i, spec);
            let count = groups.entry(place).or_insert(Count { group, entries: 0, selected: 0 });
            count.entries += spec.entries();
            count.selected += set.len();
        }
        groups.into_values().collect()
    }

    /// How this mask meets another, by group.
    pub fn overlap(&self, other: &Self, by: By) -> Result<Vec<Overlap>> {
        self.check_same(other)?;
        let mut groups: BTreeMap<usize, Overlap> = BTreeMap::new();
        for (i, spec) in self.universe().specs().iter().enumerate() {
            let (place, group) = by.key(i, spec);
            let empty = Overlap { group, entries: 0, first: 0, second: 0, both: 0 };
            let row = groups.entry(place).or_insert(empty);
            row.entries += spec.entries();
            row.first += self.set(i).len();
            row.second += other.set(i).len();
            row.both += self.set(i).intersection_len(other.set(i));
        }
        Ok(groups.into_values().collect())
    }
}

/// How much of the adaptable entries a sequence of masks has claimed.
#[derive(Clone, Debug, PartialEq)]
pub struct Capacity {
    /// Claimed entries of the adaptable ones, in all.
    pub total: Count,
    /// The same by role; only roles with adaptable entries.
    pub roles: Vec<Count>,
    /// The same by layer; only layers with adaptable entries.
    pub layers: Vec<Count>,
    /// For each mask in order, how many adaptable entries it was the first to claim.
    pub newly: Vec<u64>,
}

impl Capacity {
    /// The fraction of the adaptable entries that no mask has claimed.
    pub fn free(&self) -> f64 {
        1.0 - self.total.density()
    }
}

/// What is claimed by any of the masks and what is free, of the entries of `adaptable` (where it
/// is `None`: of the two-dimensional attention and feed-forward weights).
pub fn capacity(masks: &[&Mask], adaptable: Option<&Mask>) -> Result<Capacity> {
    let claimed = union(masks)?;
    let default;
    let adaptable = match adaptable {
        Some(mask) => mask,
        None => {
            default = Mask::of_params(claimed.universe().clone(), ParamSpec::adaptable);
            &default
        }
    };
    // Sets as large as the masks alone: what is free of a large model would be a bit for every entry.
    let mut before = Mask::none(claimed.universe().clone());
    let mut newly = Vec::with_capacity(masks.len());
    for mask in masks {
        let inside = intersection(&[adaptable, mask])?;
        newly.push(inside.count() - inside.intersection_count(&before)?);
        before = union(&[&before, &inside])?;
    }
    let rows = |by| -> Result<Vec<Count>> {
        let rows = claimed.overlap(adaptable, by)?.into_iter().filter(|row| row.second > 0);
        Ok(rows.map(|row| Count { group: row.group, entries: row.second, selected: row.both }).collect())
    };
    let total = adaptable.count();
    Ok(Capacity {
        total: Count { group: "all".to_string(), entries: total, selected: before.count() },
        roles: rows(By::Role)?,
        layers: rows(By::Layer)?,
        newly,
    })
}
