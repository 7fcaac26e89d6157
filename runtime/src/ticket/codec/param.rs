//! The code of the positions of one parameter.
//!
//! The rows and the columns of the matrix are divided into classes of like density, if that pays
//! (see [`super::classes`]). Rows of one class and columns of another meet in a block, whose
//! places, taken row by row, are coded as gaps of the block's own density. Blocks are woven
//! together row by row, so that the positions come out in order.
//!
//! A set of more than half of the entries is coded as what it lacks.

use roaring::RoaringBitmap;

use super::classes::MOST;
use super::gap::{Decoder, Gaps};
use super::lines::{Axis, Lines};
use super::shape::Shape;
use super::table::Slot;
use super::varint;
use crate::mask::to_bitmap;

/// What the code says of a parameter before its gaps.
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
        if divisible(self.coded(shape), shape) {
            out.push((self.rows.len() as u8 - 1) << 4 | (self.cols.len() as u8 - 1));
        }
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
        let mut byte = 0;
        if divisible(coded, shape) {
            (byte, *bytes) = bytes.split_first().map(|(&byte, rest)| (byte, rest)).ok_or(SHORT)?;
        }
        let (rows, cols) = (usize::from(byte >> 4) + 1, usize::from(byte & 15) + 1);
        if rows > MOST || cols > MOST {
            return Err("claims too many classes");
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

/// Whether there may be classes: what a reader must keep for each row and column is then no
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

    /// Reads the coded positions; `None` if they do not make sense.
    pub fn positions(&self, shape: Shape, decoder: &mut Decoder<'_>) -> Option<RoaringBitmap> {
        let (coded, cells) = (self.coded(shape), shape.cells());
        let mut out = Sink::new(coded, cells);
        if coded > 0 && self.blocks.len() == 1 {
            let gaps = Gaps::new(coded, cells);
            let mut next = 0;
            for left in (0..coded).rev() {
                next += gaps.take(decoder, (cells - next).checked_sub(left + 1)?)?;
                out.put(next);
                next += 1;
            }
        } else if coded > 0 {
            let rows = Axis::take(&self.rows, decoder)?;
            let columns = Axis::take(&self.cols, decoder)?.members();
            self.weave(&rows, &columns, shape, decoder, &mut out)?;
        }
        out.set()
    }

    /// Reads the positions of several blocks, row by row.
    fn weave(
        &self,
        rows: &Axis,
        columns: &[Vec<u32>],
        shape: Shape,
        decoder: &mut Decoder<'_>,
        out: &mut Sink,
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
        let mut coded = 0;
        for (row, (&class, &rank)) in rows.labels.iter().zip(&rows.ranks).enumerate() {
            let base = row as u64 * shape.cols;
            for (col, members) in columns.iter().enumerate() {
                let block = usize::from(class) * columns.len() + col;
                let begin = u64::from(rank) * members.len() as u64;
                let end = begin + members.len() as u64;
                let (mut next, mut left) = ahead[block];
                while next < end {
                    out.put(base + u64::from(*members.get((next - begin) as usize)?));
                    coded += 1;
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
            out.end_row();
        }
        (coded == self.coded(shape)).then_some(())
    }
}

/// Where positions go: into a list, or, where that is no larger, into an array of bits.
enum Sink {
    /// The positions, and where those of the present row begin.
    List(Vec<u32>, usize),
    Bits(Vec<u64>),
}

impl Sink {
    fn new(coded: u64, cells: u64) -> Self {
        if coded >= cells / 32 {
            Self::Bits(vec![0; cells.div_ceil(64) as usize])
        } else {
            Self::List(Vec::with_capacity(coded as usize), 0)
        }
    }

    #[inline]
    fn put(&mut self, position: u64) {
        match self {
            Self::List(list, _) => list.push(position as u32),
            Self::Bits(words) => words[(position / 64) as usize] |= 1 << (position % 64),
        }
    }

    /// Puts the positions of the row that ends in order.
    fn end_row(&mut self) {
        if let Self::List(list, first) = self {
            list[*first..].sort_unstable();
            *first = list.len();
        }
    }

    fn set(self) -> Option<RoaringBitmap> {
        match self {
            Self::List(list, _) => RoaringBitmap::from_sorted_iter(list).ok(),
            Self::Bits(words) => Some(to_bitmap(0, words)),
        }
    }
}
