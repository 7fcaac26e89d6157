//! Where the masked entries of a matrix are: compressed rows.

use std::ops::Range;
use std::sync::OnceLock;

use candle_core::{Device, Tensor};

use crate::{Error, Result};

/// Column numbers, in two bytes where they fit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cols {
    /// At most 65,536 columns.
    U16(Vec<u16>),
    /// More.
    U32(Vec<u32>),
}

/// The masked entries of a `[rows, cols]` matrix, row by row, columns rising. The `k`-th entry in
/// this order belongs to the `k`-th value of every vector of length [`nnz`](Self::nnz).
#[derive(Debug)]
pub struct SparseIndex {
    rows: usize,
    cols: usize,
    row_ptr: Vec<u32>,
    col_idx: Cols,
    flat: OnceLock<Tensor>,
}

impl SparseIndex {
    /// From flat row-major positions in rising order. A vector is a matrix of one row.
    pub fn from_sorted(rows: usize, cols: usize, entries: impl IntoIterator<Item = u32>) -> Result<Self> {
        let total = rows as u64 * cols as u64;
        if total > 1 << 32 {
            return Err(Error::argument(format!(
                "a masked parameter has {rows}×{cols} entries; at most 2^32 can be indexed"
            )));
        }
        let entries = entries.into_iter();
        let mut row_ptr = Vec::with_capacity(rows + 1);
        row_ptr.push(0u32);
        let narrow = cols <= 1 << 16;
        let (mut c16, mut c32) = (Vec::new(), Vec::new());
        match narrow {
            true => c16.reserve(entries.size_hint().0),
            false => c32.reserve(entries.size_hint().0),
        }
        let (mut row, mut row_start, mut count) = (0usize, 0u64, 0u32);
        let mut last: Option<u32> = None;
        for entry in entries {
            if last.is_some_and(|last| last >= entry) {
                return Err(Error::argument("the entries of a sparse index must rise"));
            }
            if u64::from(entry) >= total {
                return Err(Error::argument(format!("entry {entry} is outside a {rows}×{cols} parameter")));
            }
            last = Some(entry);
            while u64::from(entry) >= row_start + cols as u64 {
                row_ptr.push(count);
                row += 1;
                row_start += cols as u64;
            }
            let col = (u64::from(entry) - row_start) as u32;
            match narrow {
                true => c16.push(col as u16),
                false => c32.push(col),
            }
            count += 1;
        }
        row_ptr.resize(rows + 1, count);
        debug_assert!(row <= rows);
        let col_idx = if narrow { Cols::U16(c16) } else { Cols::U32(c32) };
        Ok(Self { rows, cols, row_ptr, col_idx, flat: OnceLock::new() })
    }

    /// The number of rows of the matrix.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// The number of columns of the matrix.
    pub fn cols(&self) -> usize {
        self.cols
    }

    /// The number of masked entries.
    pub fn nnz(&self) -> usize {
        self.row_ptr[self.rows] as usize
    }

    /// The masked fraction of the matrix.
    pub fn density(&self) -> f64 {
        if self.rows * self.cols == 0 {
            0.0
        } else {
            self.nnz() as f64 / (self.rows as f64 * self.cols as f64)
        }
    }

    /// Bounds of each row in the list of entries: `rows + 1` numbers.
    pub fn row_ptr(&self) -> &[u32] {
        &self.row_ptr
    }

    /// The column of each entry.
    pub fn col_idx(&self) -> &Cols {
        &self.col_idx
    }

    /// The entries of one row, as a range of the list of entries.
    pub fn row(&self, row: usize) -> Range<usize> {
        self.row_ptr[row] as usize..self.row_ptr[row + 1] as usize
    }

    /// The column of entry `k`.
    pub fn col(&self, k: usize) -> usize {
        match &self.col_idx {
            Cols::U16(cols) => usize::from(cols[k]),
            Cols::U32(cols) => cols[k] as usize,
        }
    }

    /// Flat row-major positions in rising order.
    pub fn iter(&self) -> impl Iterator<Item = u32> + '_ {
        (0..self.rows).flat_map(move |row| {
            let start = row * self.cols;
            self.row(row).map(move |k| (start + self.col(k)) as u32)
        })
    }

    /// The flat positions of a range of the list of entries, rising.
    pub fn positions(&self, entries: Range<usize>) -> impl Iterator<Item = u32> + '_ {
        let mut row = self.row_ptr.partition_point(|&end| end as usize <= entries.start).saturating_sub(1);
        entries.map(move |k| {
            while k >= self.row_ptr[row + 1] as usize {
                row += 1;
            }
            (row * self.cols + self.col(k)) as u32
        })
    }

    /// Which part of the list of entries has flat positions from `start` up to, not including, `end`: the numbers of its
    /// first entry and of the one after its last.
    pub fn between(&self, start: usize, end: usize) -> (usize, usize) {
        let before = |flat: usize| {
            let row = flat / self.cols.max(1);
            if row >= self.rows {
                return self.nnz();
            }
            let (col, range) = (flat - row * self.cols, self.row(row));
            let below = match &self.col_idx {
                Cols::U16(cols) => cols[range.clone()].partition_point(|&c| usize::from(c) < col),
                Cols::U32(cols) => cols[range.clone()].partition_point(|&c| (c as usize) < col),
            };
            range.start + below
        };
        (before(start), before(end))
    }

    /// Whether both are of the same entries of a matrix of the same shape.
    pub fn same_entries(&self, other: &Self) -> bool {
        std::ptr::eq(self, other)
            || (self.rows == other.rows
                && self.cols == other.cols
                && self.row_ptr == other.row_ptr
                && self.col_idx == other.col_idx)
    }

    /// The bytes that it holds, without what [`flat`](Self::flat) keeps.
    pub fn bytes(&self) -> usize {
        let cols = match &self.col_idx {
            Cols::U16(cols) => size_of_val(cols.as_slice()),
            Cols::U32(cols) => size_of_val(cols.as_slice()),
        };
        cols + size_of_val(self.row_ptr.as_slice())
    }

    /// The flat positions as a u32 tensor `[nnz]`; kept for the device that asks first.
    pub fn flat(&self, device: &Device) -> Result<Tensor> {
        if let Some(flat) = self.flat.get()
            && flat.device().same_device(device)
        {
            return Ok(flat.clone());
        }
        let entries: Vec<u32> = self.iter().collect();
        let flat = Tensor::from_vec(entries, self.nnz(), device)?;
        // If another thread was first, its tensor is kept; both hold the same values.
        let _ = self.flat.set(flat.clone());
        Ok(flat)
    }

    /// An error unless the index belongs to a matrix (or vector) of this shape.
    pub fn check(&self, op: &str, dims: &[usize]) -> Result<()> {
        let fits = match dims {
            [rows, cols] => *rows == self.rows && *cols == self.cols,
            dims => dims.iter().product::<usize>() == self.rows * self.cols,
        };
        if fits {
            return Ok(());
        }
        Err(Error::mismatch(format!(
            "{op}: a sparse index of a {}×{} parameter was used with a parameter of shape {dims:?}",
            self.rows, self.cols
        )))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_go_in_and_come_out() -> Result<()> {
        for (rows, cols) in [(1, 10), (7, 3), (3, 70_000), (4, 65_536)] {
            let kept: Vec<u32> = (0..(rows * cols) as u32).filter(|i| i % 5 == 2 || i / 4 % 3 == 1).collect();
            let index = SparseIndex::from_sorted(rows, cols, kept.iter().copied())?;
            assert_eq!(index.nnz(), kept.len());
            assert_eq!(index.iter().collect::<Vec<_>>(), kept);
            assert_eq!(index.flat(&Device::Cpu)?.to_vec1::<u32>()?, kept);
            assert_eq!(index.row_ptr().len(), rows + 1);
            let total = rows * cols;
            for (start, end) in [(0, total), (0, 0), (1, cols + 1), (cols, total - 1), (total / 3, total / 2)]
            {
                let (first, last) = index.between(start, end.max(start));
                let inside = |&&at: &&u32| (start..end.max(start)).contains(&(at as usize));
                let wanted: Vec<u32> = kept.iter().filter(inside).copied().collect();
                assert_eq!(index.positions(first..last).collect::<Vec<_>>(), wanted);
            }
            assert!(index.same_entries(&SparseIndex::from_sorted(rows, cols, kept.iter().copied())?));
            assert!(!index.same_entries(&SparseIndex::from_sorted(rows, cols, kept[1..].iter().copied())?));
            assert_eq!(matches!(index.col_idx(), Cols::U16(_)), cols <= 65_536);
        }
        assert_eq!(SparseIndex::from_sorted(4, 4, [])?.nnz(), 0);
        Ok(())
    }

    #[test]
    fn what_cannot_be_an_index_is_refused() {
        assert!(SparseIndex::from_sorted(2, 2, [1, 1]).is_err());
        assert!(SparseIndex::from_sorted(2, 2, [3, 2]).is_err());
        assert!(SparseIndex::from_sorted(2, 2, [4]).is_err());
        assert!(SparseIndex::from_sorted(1 << 17, 1 << 17, []).is_err());
    }
}
