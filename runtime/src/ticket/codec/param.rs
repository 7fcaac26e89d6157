//! The code of the positions of one parameter.
//!
//! The rows and the columns of the matrix are divided into classes of like density, if that pays
//! (see [`super::classes`]). Rows of one class and columns of another meet in a block, whose
//! places, taken row by row, are coded as gaps of the block's own density. Blocks are woven
//! together row by row, so that the positions come out in order.
//!
//! A set of more than half of the entries is coded as what it lacks.

use super::classes::{MOST, classes};
use super::gap::{Decoder, Gaps};
use super::table::{PRECISION, Slot, Table};
use super::{entropy, varint};
use constriction::stream::Decode;

/// The shape of a parameter as a matrix.
#[derive(Clone, Copy, Debug)]
pub struct Shape {
    pub rows: u64,
    pub cols: u64,
}

impl Shape {
    fn cells(self) -> u64 {
        self.rows * self.cols
    }
}

/// What is said of a parameter before its gaps.
#[derive(Clone, Debug, Default)]
pub struct Head {
    /// The number of entries in the set.
    pub entries: u64,
    /// The rows of each class.
    rows: Vec<u64>,
    /// The columns of each class.
    cols: Vec<u64>,
    /// The coded positions in each block, for each class of rows those with each of columns.
    blocks: Vec<u64>,
}

impl Head {
    /// The positions that are coded: those in the set, or those that are not.
    fn coded(&self, shape: Shape) -> u64 {
        self.entries.min(shape.cells() - self.entries)
    }

    fn plain(entries: u64, coded: u64, shape: Shape) -> Self {
        Self { entries, rows: vec![shape.rows], cols: vec![shape.cols], blocks: vec![coded] }
    }

    /// Whether what is coded is what the set lacks.
    pub fn flipped(&self, shape: Shape) -> bool {
        self.entries > shape.cells() - self.entries
    }

    fn put(&self, shape: Shape, out: &mut Vec<u8>) {
        varint::put(out, self.entries);
        if self.coded(shape) == 0 {
            return;
        }
        out.push((self.rows.len() as u8 - 1) << 4 | (self.cols.len() as u8 - 1));
        // The last one of each list follows from the others.
        for list in [&self.rows, &self.cols, &self.blocks] {
            list[..list.len() - 1].iter().for_each(|&n| varint::put(out, n));
        }
    }

    /// Reads what [`Head::put`] wrote; the error says what is wrong.
    pub fn take(shape: Shape, bytes: &mut &[u8]) -> Result<Self, &'static str> {
        const SHORT: &str = "ends early";
        let entries = varint::take(bytes).ok_or(SHORT)?;
        if entries > shape.cells() {
            return Err("claims more entries than there are");
        }
        let coded = entries.min(shape.cells() - entries);
        if coded == 0 {
            return Ok(Self::plain(entries, 0, shape));
        }
        let (&byte, rest) = bytes.split_first().ok_or(SHORT)?;
        *bytes = rest;
        let (rows, cols) = (usize::from(byte >> 4) + 1, usize::from(byte & 15) + 1);
        if rows > MOST || cols > MOST {
            return Err("claims too many classes");
        }
        if rows * cols > 1 && !divisible(coded, shape) {
            return Err("claims classes of a matrix too sparse for them");
        }
        let mut list = |len: usize, total: u64| {
            let mut left = total;
            let mut numbers = Vec::with_capacity(len);
            for _ in 1..len {
                let number = varint::take(bytes).ok_or(SHORT)?;
                left = left.checked_sub(number).ok_or("has parts that are more than the whole")?;
                numbers.push(number);
            }
            numbers.push(left);
            Ok::<_, &'static str>(numbers)
        };
        let (rows, cols) = (list(rows, shape.rows)?, list(cols, shape.cols)?);
        let blocks = list(rows.len() * cols.len(), coded)?;
        let cells = rows.iter().flat_map(|r| cols.iter().map(move |c| r * c));
        if blocks.iter().zip(cells).any(|(&count, cells)| count > cells) {
            return Err("claims more entries in a block than there are");
        }
        Ok(Self { entries, rows, cols, blocks })
    }
}

/// Whether classes may be made at all: what a reader must keep for each row and column is then no
/// more than the positions themselves.
fn divisible(coded: u64, shape: Shape) -> bool {
    shape.rows <= coded && shape.cols <= coded
}

/// Codes the positions (of the set, or of what it lacks; in order): appends the head's bytes and
/// the symbols.
pub fn put(entries: u64, positions: &[u32], shape: Shape, head: &mut Vec<u8>, out: &mut Vec<Slot>) {
    let coded = positions.len() as u64;
    let none = Head::plain(entries, coded, shape);
    if coded == 0 {
        return none.put(shape, head);
    }
    let lines = if divisible(coded, shape) { Some(Lines::choose(positions, shape)) } else { None };
    let Some(lines) = lines.filter(|lines| lines.rows.count * lines.cols.count > 1) else {
        none.put(shape, head);
        let gaps = Gaps::new(coded, shape.cells());
        let mut next = 0;
        for &position in positions {
            gaps.put(u64::from(position) - next, out);
            next = u64::from(position) + 1;
        }
        return;
    };
    let mut blocks = vec![Vec::new(); lines.rows.count * lines.cols.count];
    for &position in positions {
        let (block, place) = lines.place(position, shape);
        blocks[block].push(place);
    }
    // A line's place among those of its class rises with the line: each list is in order.
    debug_assert!(blocks.iter().all(|b| b.is_sorted()));
    let about = Head {
        entries,
        rows: lines.rows.sizes(),
        cols: lines.cols.sizes(),
        blocks: blocks.iter().map(|b| b.len() as u64).collect(),
    };
    about.put(shape, head);
    lines.rows.put(out);
    lines.cols.put(out);
    let gaps = about.gaps();
    let mut taken = vec![0; blocks.len()];
    for (block, gaps) in blocks.iter().zip(&gaps) {
        if let Some(gaps) = gaps {
            gaps.put(block[0], out);
        }
    }
    for row in 0..shape.rows as usize {
        let class = usize::from(lines.rows.labels[row]);
        for (col, &width) in about.cols.iter().enumerate() {
            let b = class * about.cols.len() + col;
            let Some(gaps) = &gaps[b] else { continue };
            let end = (u64::from(lines.rows.ranks[row]) + 1) * width;
            while taken[b] < blocks[b].len() && blocks[b][taken[b]] < end {
                taken[b] += 1;
                if let Some(next) = blocks[b].get(taken[b]) {
                    gaps.put(next - blocks[b][taken[b] - 1] - 1, out);
                }
            }
        }
    }
}

impl Head {
    fn cells(&self, block: usize) -> u64 {
        self.rows[block / self.cols.len()] * self.cols[block % self.cols.len()]
    }

    /// The code of each block; none for one that is empty or full.
    fn gaps(&self) -> Vec<Option<Gaps>> {
        let code = |(block, &count): (usize, &u64)| {
            let cells = self.cells(block);
            (count > 0 && count < cells).then(|| Gaps::new(count, cells))
        };
        self.blocks.iter().enumerate().map(code).collect()
    }

    /// Reads the positions; `None` if they do not make sense.
    pub fn positions(&self, shape: Shape, decoder: &mut Decoder<'_>) -> Option<Vec<u32>> {
        let coded = self.coded(shape);
        let mut out = Vec::with_capacity(coded as usize);
        if coded == 0 {
            return Some(out);
        }
        if self.blocks.len() == 1 {
            let (gaps, cells) = (Gaps::new(coded, shape.cells()), shape.cells());
            let mut next = 0;
            for left in (0..coded).rev() {
                next += gaps.take(decoder, (cells - next).checked_sub(left + 1)?)?;
                out.push(next as u32);
                next += 1;
            }
            return Some(out);
        }
        let rows = Axis::take(&self.rows, decoder)?;
        let cols = Axis::take(&self.cols, decoder)?;
        let columns = cols.members();
        self.weave(&rows, &columns, shape, decoder, &mut out)?;
        Some(out)
    }

    /// Reads the positions of several blocks, row by row.
    fn weave(
        &self,
        rows: &Axis,
        columns: &[Vec<u32>],
        shape: Shape,
        decoder: &mut Decoder<'_>,
        out: &mut Vec<u32>,
    ) -> Option<()> {
        let gaps = self.gaps();
        let cells: Vec<u64> = (0..gaps.len()).map(|block| self.cells(block)).collect();
        // Where the next position of each block lies, and how many come after it.
        let mut ahead = Vec::with_capacity(gaps.len());
        for (block, gaps) in gaps.iter().enumerate() {
            let count = self.blocks[block];
            let next = match gaps {
                Some(gaps) => gaps.take(decoder, cells[block] - count)?,
                None if count == 0 => u64::MAX,
                None => 0,
            };
            ahead.push((next, count.saturating_sub(1)));
        }
        for (row, (&class, &rank)) in rows.labels.iter().zip(&rows.ranks).enumerate() {
            let (first, base) = (out.len(), row as u64 * shape.cols);
            for (col, members) in columns.iter().enumerate() {
                let block = usize::from(class) * columns.len() + col;
                let begin = u64::from(rank) * members.len() as u64;
                let end = begin + members.len() as u64;
                let (mut next, mut left) = ahead[block];
                while next < end {
                    out.push((base + u64::from(*members.get((next - begin) as usize)?)) as u32);
                    if left == 0 {
                        next = u64::MAX;
                        break;
                    }
                    left -= 1;
                    next += 1;
                    if let Some(gaps) = &gaps[block] {
                        next += gaps.take(decoder, (cells[block] - next).checked_sub(left + 1)?)?;
                    }
                }
                ahead[block] = (next, left);
            }
            if columns.len() > 1 {
                out[first..].sort_unstable();
            }
        }
        (out.len() as u64 == self.coded(shape)).then_some(())
    }
}

/// The classes of rows or of columns.
struct Axis {
    labels: Vec<u8>,
    /// The place of each line among those of its class.
    ranks: Vec<u32>,
    count: usize,
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

    fn sizes(&self) -> Vec<u64> {
        let mut sizes = vec![0; self.count];
        self.labels.iter().for_each(|&label| sizes[usize::from(label)] += 1);
        sizes
    }

    /// The lines of each class.
    fn members(&self) -> Vec<Vec<u32>> {
        let mut members = vec![Vec::new(); self.count];
        self.labels.iter().zip(0..).for_each(|(&label, line)| members[usize::from(label)].push(line));
        members
    }

    fn put(&self, out: &mut Vec<Slot>) {
        if self.count > 1 {
            let table = Table::of_counts(&self.sizes());
            out.extend(self.labels.iter().map(|&label| table.slot(usize::from(label))));
        }
    }

    /// Reads the classes of lines, of which there are so many of each.
    fn take(sizes: &[u64], decoder: &mut Decoder<'_>) -> Option<Self> {
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
struct Lines {
    rows: Axis,
    cols: Axis,
    /// The columns of each class.
    widths: Vec<u64>,
}

impl Lines {
    /// The classes that make the code shortest: of rows, of columns, of both or none.
    fn choose(positions: &[u32], shape: Shape) -> Self {
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
    fn place(&self, position: u32, shape: Shape) -> (usize, u64) {
        let (row, col) = split(position, shape);
        let (r, c) = (usize::from(self.rows.labels[row]), usize::from(self.cols.labels[col]));
        let width = self.widths[c];
        (r * self.cols.count + c, u64::from(self.rows.ranks[row]) * width + u64::from(self.cols.ranks[col]))
    }
}

fn split(position: u32, shape: Shape) -> (usize, usize) {
    ((u64::from(position) / shape.cols) as usize, (u64::from(position) % shape.cols) as usize)
}
