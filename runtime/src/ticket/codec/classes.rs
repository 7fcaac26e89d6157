//! Classes of rows, or of columns, of like density.
//!
//! The masks of trained models are far from uniform: some columns (features) hold ten times as many
//! entries as others. To say which class each line is in costs bits, and to code the positions of
//! each class by its own density saves some. The classes made here are those of the least sum.

use super::entropy;

/// The most classes.
pub const MOST: usize = 8;
/// The most groups of lines that a class is made of.
const BINS: usize = 96;
/// The bits it takes to describe a class.
const OVERHEAD: f64 = 32.0;

/// Lines that are taken together: how many, and the entries they hold.
#[derive(Clone, Copy, Default)]
struct Group {
    lines: u64,
    entries: u64,
}

/// The class of each line, numbered from 0 in order of density, and the number of classes. `counts` are the entries of
/// each line, of `width` places.
pub fn classes(counts: &[u32], width: u64) -> (Vec<u8>, usize) {
    let total = counts.len();
    let mut order: Vec<u32> = (0..total as u32).collect();
    order.sort_by_key(|&line| counts[line as usize]);
    // Lines of like counts, in about equal groups; those of one count stay together.
    let mut bins: Vec<(usize, Group)> = Vec::new();
    let mut last = None;
    for (rank, &line) in order.iter().enumerate() {
        let count = counts[line as usize];
        let full = bins.last().is_none_or(|(_, bin)| bin.lines as usize * BINS >= total);
        if full && last != Some(count) {
            bins.push((rank, Group::default()));
        }
        if let Some((_, bin)) = bins.last_mut() {
            bin.lines += 1;
            bin.entries += u64::from(count);
        }
        last = Some(count);
    }
    let cost = |group: Group| {
        let label = (total as f64 / group.lines as f64).log2();
        entropy(group.entries, group.lines * width) + group.lines as f64 * label + OVERHEAD
    };
    let cuts = partition(&bins.iter().map(|(_, bin)| *bin).collect::<Vec<_>>(), cost);
    let mut labels = vec![0; total];
    for (class, &first) in cuts.iter().enumerate() {
        for &line in &order[bins[first].0..] {
            labels[line as usize] = class as u8;
        }
    }
    (labels, cuts.len())
}

/// The first group of each class, for the division of the groups into consecutive classes whose
/// costs have the least sum (dynamic programming over the number of classes).
fn partition(groups: &[Group], cost: impl Fn(Group) -> f64) -> Vec<usize> {
    let n = groups.len();
    let mut sums = vec![Group::default()];
    for (i, group) in groups.iter().enumerate() {
        let before = sums[i];
        sums.push(Group { lines: before.lines + group.lines, entries: before.entries + group.entries });
    }
    let between = |from: usize, to: usize| {
        cost(Group {
            lines: sums[to].lines - sums[from].lines,
            entries: sums[to].entries - sums[from].entries,
        })
    };
    // best[k][j]: the first j groups in k + 1 classes, and where the last of them begins.
    let mut best = vec![(0..=n).map(|j| (if j == 0 { 0.0 } else { between(0, j) }, 0)).collect::<Vec<_>>()];
    for k in 1..MOST.min(n) {
        let former = &best[k - 1];
        let row = (0..=n)
            .map(|j| {
                let options = (k..j).map(|i| (former[i].0 + between(i, j), i));
                options.min_by(|a, b| a.0.total_cmp(&b.0)).unwrap_or((f64::INFINITY, 0))
            })
            .collect();
        best.push(row);
    }
    let ends = best.iter().enumerate().map(|(k, row)| (row[n].0, k));
    let mut k = ends.min_by(|a, b| a.0.total_cmp(&b.0)).map_or(0, |(_, k)| k);
    let (mut cuts, mut end) = (Vec::new(), n);
    loop {
        let first = best[k][end].1;
        cuts.push(first);
        if k == 0 {
            break;
        }
        end = first;
        k -= 1;
    }
    cuts.reverse();
    cuts
}
