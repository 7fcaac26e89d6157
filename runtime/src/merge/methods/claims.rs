//! Which entries an input changes: those in a ticket's mask; in other inputs, those that differ from the base.

use crate::merge::Group;
use crate::merge::group::Piece;

/// For each of the inputs `others`, which entries of a piece it changes. The
/// last of `values` is the base.
pub(super) fn claims(group: &Group<'_>, others: &[usize], piece: Piece, values: &[&[f32]]) -> Vec<Vec<bool>> {
    let Some((base, tuned)) = values.split_last() else { return Vec::new() };
    let of = |(&other, tuned): (&usize, &&[f32])| {
        let entry = &group.entries[other];
        match entry.input.claims(entry.name) {
            Some(set) => {
                let mut claimed = vec![false; piece.len];
                let (first, last) = (piece.start as u32, (piece.start + piece.len - 1) as u32);
                set.range(first..=last).for_each(|at| claimed[at as usize - piece.start] = true);
                claimed
            }
            None => tuned.iter().zip(*base).map(|(t, b)| t.to_bits() != b.to_bits()).collect(),
        }
    };
    others.iter().zip(tuned).map(of).collect()
}
