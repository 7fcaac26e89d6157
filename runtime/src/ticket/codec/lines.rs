//! The classes of a matrix's rows and columns: chosen, written and read.

use constriction::stream::Decode;

use super::classes::classes;
use super::entropy;
use super::gap::Decoder;
use super::shape::Shape;
use super::table::{PRECISION, Slot, Table};

/// The classes of rows or of columns.
pub struct Axis {
    /// The class of each line.
    pub labels: Vec<u8>,
    /// The place of each line among those of its class.
    pub ranks: Vec<u32>,
    /// The number of classes.
    pub count: usize,
}

impl Axis {
    fn new(labels: Vec<u8>, count: usize) -> Self {
        let mut seen = vec![0; count];
        let rank = |&label: &u8| {
            seen[usize::from(label)] += 1;
            seen[usize::from(label)] - 1
        };
        let ranks = labels.iter().map(rank).collect();
        Self { labels, ranks, count }
    }

    fn one(lines: u64) -> Self {
        Self::new(vec![0; lines as usize], 1)
    }

    /// The lines of each class.
    pub fn sizes(&self) -> Vec<u64> {
        let mut sizes = vec![0; self.count];
        self.labels.iter().for_each(|&label| sizes[usize::from(label)] += 1);
        sizes
    }

    /// The lines of each class, by number.
    pub fn members(&self) -> Vec<Vec<u32>> {
        let mut members = vec![Vec::new(); self.count];
        self.labels.iter().zip(0..).for_each(|(&label, line)| members[usize::from(label)].push(line));
        members
    }

    /// Appends the symbols of the classes.
    pub fn put(&self, out: &mut Vec<Slot>) {
        if self.count > 1 {
            let table = Table::of_counts(&self.sizes());
            out.extend(self.labels.iter().map(|&label| table.slot(usize::from(label))));
        }
    }

    /// Reads the classes of lines, of which there are so many of each; `None` if they make no sense.
    pub fn take(sizes: &[u64], decoder: &mut Decoder<'_>) -> Option<Self> {
        let lines = sizes.iter().sum::<u64>();
        if sizes.len() == 1 {
            return Some(Self::one(lines));
        }
        let table = Table::of_counts(sizes);
        let labels = (0..lines)
            .map(|_| {
                let Ok(label) = Decode::<PRECISION>::decode_symbol(decoder, &table);
                label
            })
            .collect();
        let axis = Self::new(labels, sizes.len());
        (axis.sizes() == sizes).then_some(axis)
    }
}

/// The classes of a matrix.
pub struct Lines {
    pub rows: Axis,
    pub cols: Axis,
    /// The columns of each class.
    widths: Vec<u64>,
}

impl Lines {
    /// The classes that make the code shortest: of rows, of columns, of both or none.
    pub fn choose(positions: &[u32], shape: Shape) -> Self {
        let (mut rows, mut cols) = (vec![0; shape.rows as usize], vec![0; shape.cols as usize]);
        for &position in positions {
            let (row, col) = split(position, shape);
            rows[row] += 1;
            cols[col] += 1;
        }
        let (rows, row_classes) = classes(&rows, shape.cols);
        let (cols, col_classes) = classes(&cols, shape.rows);
        // The densest division and its sums give those of the coarser ones.
        let mut blocks = vec![vec![0u64; col_classes]; row_classes];
        for &position in positions {
            let (row, col) = split(position, shape);
            blocks[usize::from(rows[row])][usize::from(cols[col])] += 1;
        }
        let (rows, cols) = (Axis::new(rows, row_classes), Axis::new(cols, col_classes));
        let (row_sizes, col_sizes) = (rows.sizes(), cols.sizes());
        let labels = |sizes: &[u64], lines: u64| {
            let bits = |&n: &u64| if n == 0 { 0.0 } else { n as f64 * (lines as f64 / n as f64).log2() };
            sizes.iter().map(bits).sum::<f64>() + 16.0 * (sizes.len() - 1) as f64
        };
        let total = |by_rows: bool, by_cols: bool| {
            let mut bits = 0.0;
            let row_groups = if by_rows { row_classes } else { 1 };
            let col_groups = if by_cols { col_classes } else { 1 };
            for r in 0..row_groups {
                for c in 0..col_groups {
                    let rs = if by_rows { r..r + 1 } else { 0..row_classes };
                    let cs = || if by_cols { c..c + 1 } else { 0..col_classes };
                    let lines: u64 = row_sizes[rs.clone()].iter().sum();
                    let width: u64 = col_sizes[cs()].iter().sum();
                    let count: u64 = rs.flat_map(|r| blocks[r][cs()].iter()).sum();
                    bits += entropy(count, lines * width);
                }
            }
            bits += 16.0 * (row_groups * col_groups - 1) as f64;
            bits += if by_rows { labels(&row_sizes, shape.rows) } else { 0.0 };
            bits + if by_cols { labels(&col_sizes, shape.cols) } else { 0.0 }
        };
        let options = [(false, false), (true, false), (false, true), (true, true)];
        let costs = options.map(|(r, c)| total(r, c));
        let best = (1..4).fold(0, |best, i| if costs[i] < costs[best] { i } else { best });
        let (by_rows, by_cols) = options[best];
        let rows = if by_rows { rows } else { Axis::one(shape.rows) };
        let cols = if by_cols { cols } else { Axis::one(shape.cols) };
        let widths = cols.sizes();
        Self { rows, cols, widths }
    }

    /// The block of a position, and its place there.
    pub fn place(&self, position: u32, shape: Shape) -> (usize, u64) {
        let (row, col) = split(position, shape);
        let (r, c) = (usize::from(self.rows.labels[row]), usize::from(self.cols.labels[col]));
        let width = self.widths[c];
        (r * self.cols.count + c, u64::from(self.rows.ranks[row]) * width + u64::from(self.cols.ranks[col]))
    }
}

fn split(position: u32, shape: Shape) -> (usize, usize) {
    ((u64::from(position) / shape.cols) as usize, (u64::from(position) % shape.cols) as usize)
}
