//! Dense f32 products with AVX-512.
//!
//! `b` is packed into panels of 48 columns, shared by all threads; tiles of 8×48 values of the result stay in 24
//! registers while the inner dimension runs. Which thread computes a tile does not change its value.

use std::arch::x86_64::{
    __m512, __mmask16, _mm512_add_ps, _mm512_fmadd_ps, _mm512_loadu_ps, _mm512_mask_storeu_ps,
    _mm512_maskz_loadu_ps, _mm512_mul_ps, _mm512_set1_ps, _mm512_setzero_ps,
};
use std::cell::RefCell;

use rayon::prelude::*;

use super::{Mat, Out};
use crate::ops::Exec;
use crate::ops::transpose::{Strip, turn};

/// Columns of a panel of `b`, and rows of a tile.
const COLS: usize = 48;
const ROWS: usize = 8;
/// Rows of `a` in one task.
const BLOCK: usize = 64;
/// The longest stretch of the inner dimension a tile runs over at once.
const DEPTH: usize = 640;
/// Values of `b` packed at a time.
const PACKED: usize = 1 << 20;

thread_local! {
    /// Buffers kept between calls: fresh memory costs more than the packing.
    static SHARED: RefCell<Vec<f32>> = const { RefCell::new(Vec::new()) };
    static OWN: RefCell<Vec<f32>> = const { RefCell::new(Vec::new()) };
}

/// Where tiles are written, by several threads at different places.
#[derive(Clone, Copy)]
struct Target {
    start: *mut f32,
    stride: usize,
}

// SAFETY: every tile is written by one task, and tiles do not overlap.
unsafe impl Send for Target {}
// SAFETY: as above.
unsafe impl Sync for Target {}

impl Target {
    /// Where a tile begins.
    fn at(&self, row: usize, col: usize) -> *mut f32 {
        self.start.wrapping_add(row * self.stride + col)
    }
}

/// One stretch of the inner dimension.
#[derive(Clone, Copy)]
struct Stretch {
    from: usize,
    len: usize,
    /// Add to what is in the target.
    add: bool,
}

/// `out (+)= scale · a · b`, on the threads of `exec` if given. The matrices fit, lie inside their slices, and the
/// processor has AVX-512.
pub(super) fn product(exec: Option<&Exec>, a: Mat<'_>, b: Mat<'_>, scale: f32, out: Out<'_>) {
    let (rows, cols, inner) = (a.rows, b.cols, a.cols);
    if rows == 0 || cols == 0 {
        return;
    }
    if inner == 0 {
        if !out.add {
            (0..rows).for_each(|r| out.data[r * out.row_stride..][..cols].fill(0.0));
        }
        return;
    }
    let depth = inner.div_ceil(inner.div_ceil(DEPTH));
    let width = (PACKED / depth).next_multiple_of(COLS).min(cols.next_multiple_of(COLS));
    let mut packed = SHARED.take();
    if packed.len() < width * depth {
        packed.resize(width * depth, 0.0);
    }
    let target = Target { start: out.data.as_mut_ptr(), stride: out.row_stride };
    for first in (0..cols).step_by(width) {
        let count = width.min(cols - first);
        for from in (0..inner).step_by(depth) {
            let stretch = Stretch { from, len: depth.min(inner - from), add: out.add || from > 0 };
            let panels = &mut packed[..count.div_ceil(COLS) * COLS * stretch.len];
            pack(exec, b, first, count, stretch, panels);
            tiles(exec, a, panels, (first, count), stretch, scale, target);
        }
    }
    SHARED.replace(packed);
}

/// Columns `first..first + count` of a stretch of `b` as panels `[panel][inner][48]`.
fn pack(exec: Option<&Exec>, b: Mat<'_>, first: usize, count: usize, stretch: Stretch, panels: &mut [f32]) {
    let one = |(i, panel): (usize, &mut [f32])| {
        let at = first + i * COLS;
        let width = COLS.min(first + count - at);
        if b.col_stride == 1 {
            for (k, line) in panel.chunks_exact_mut(COLS).enumerate() {
                let start = (stretch.from + k) * b.row_stride + at;
                line[..width].copy_from_slice(&b.data[start..start + width]);
            }
        } else {
            let strip =
                Strip { stride: b.col_stride, first: stretch.from, width: stretch.len, tokens: width };
            turn(&b.data[at * b.col_stride..], strip, panel, COLS);
        }
    };
    let size = COLS * stretch.len;
    match exec {
        Some(exec) if panels.len() > size => {
            exec.run(|| panels.par_chunks_exact_mut(size).enumerate().for_each(one));
        }
        _ => panels.chunks_exact_mut(size).enumerate().for_each(one),
    }
}

/// All tiles of a block of columns over one stretch.
fn tiles(
    exec: Option<&Exec>,
    a: Mat<'_>,
    panels: &[f32],
    (first, count): (usize, usize),
    stretch: Stretch,
    scale: f32,
    target: Target,
) {
    let size = COLS * stretch.len;
    let (row_blocks, panel_count) = (a.rows.div_ceil(BLOCK), panels.len() / size);
    let threads = exec.map_or(1, Exec::threads);
    // Cut columns too if there are few blocks of rows, so that every thread has several tasks.
    let groups = (threads * 4).div_ceil(row_blocks).clamp(1, panel_count);
    let group = panel_count.div_ceil(groups);
    let task = |i: usize| {
        let (block, part) = (i % row_blocks, i / row_blocks);
        let rows = block * BLOCK..((block + 1) * BLOCK).min(a.rows);
        let last = ((part + 1) * group).min(panel_count);
        with_rows(a, rows.start, rows.len(), stretch, |left| {
            for j in part * group..last {
                let column = first + j * COLS;
                let width = COLS.min(first + count - column);
                let b = panels[j * size..][..size].as_ptr();
                for at in rows.clone().step_by(ROWS) {
                    let place = Place { to: target.at(at, column), stride: target.stride, width };
                    let tile = left.tile(at - rows.start);
                    // SAFETY: the tile of `a` has these rows and strides, `b` is a panel, and the place lies inside
                    // the target (the caller checked) and is this task's alone.
                    unsafe { run(tile, b, stretch, scale, place, ROWS.min(rows.end - at)) };
                }
            }
        });
    };
    let tasks = row_blocks * panel_count.div_ceil(group);
    match exec {
        Some(exec) if threads > 1 && tasks > 1 => exec.run(|| (0..tasks).into_par_iter().for_each(task)),
        _ => (0..tasks).for_each(task),
    }
}

/// A block of rows of `a` over one stretch, as it is or packed.
#[derive(Clone, Copy)]
enum Left<'a> {
    /// Rows are contiguous and lie `stride` apart.
    Rows { data: &'a [f32], stride: usize },
    /// Tiles `[tile][inner][8]`, of `size` values each.
    Packed { data: &'a [f32], size: usize },
}

/// The rows of `a` of one tile: value `(r, k)` lies at `start + r · row_stride + k · col_stride`.
#[derive(Clone, Copy)]
struct Rows {
    start: *const f32,
    row_stride: usize,
    col_stride: usize,
}

impl Left<'_> {
    /// The tile that begins at a row of the block.
    fn tile(self, row: usize) -> Rows {
        match self {
            Left::Rows { data, stride } => {
                Rows { start: data[row * stride..].as_ptr(), row_stride: stride, col_stride: 1 }
            }
            Left::Packed { data, size } => {
                Rows { start: data[row / ROWS * size..].as_ptr(), row_stride: 1, col_stride: ROWS }
            }
        }
    }
}

/// Calls `work` with rows `first..first + count` of `a`.
fn with_rows(a: Mat<'_>, first: usize, count: usize, stretch: Stretch, work: impl FnOnce(Left<'_>)) {
    if a.col_stride == 1 {
        return work(Left::Rows {
            data: &a.data[first * a.row_stride + stretch.from..],
            stride: a.row_stride,
        });
    }
    let mut own = OWN.take();
    let size = ROWS * stretch.len;
    if own.len() < count.div_ceil(ROWS) * size {
        own.resize(BLOCK * DEPTH, 0.0);
    }
    for k in 0..stretch.len {
        let start = (stretch.from + k) * a.col_stride + first;
        let line = &a.data[start..start + count];
        for (i, part) in line.chunks(ROWS).enumerate() {
            own[i * size + k * ROWS..][..part.len()].copy_from_slice(part);
        }
    }
    work(Left::Packed { data: &own, size });
    OWN.replace(own);
}

/// Where a tile of the result is written.
#[derive(Clone, Copy)]
struct Place {
    to: *mut f32,
    stride: usize,
    width: usize,
}

/// # Safety
///
/// The processor has AVX-512 F. `a` has `rows` rows of the stretch's length, `b` as many rows of 48 values, and `place`
/// has `rows` rows of its width (at most 48) that no other thread touches.
unsafe fn run(a: Rows, b: *const f32, stretch: Stretch, scale: f32, place: Place, rows: usize) {
    // SAFETY: passed on to the caller.
    unsafe {
        match rows {
            1 => kernel::<1>(a, b, stretch, scale, place),
            2 => kernel::<2>(a, b, stretch, scale, place),
            3 => kernel::<3>(a, b, stretch, scale, place),
            4 => kernel::<4>(a, b, stretch, scale, place),
            5 => kernel::<5>(a, b, stretch, scale, place),
            6 => kernel::<6>(a, b, stretch, scale, place),
            7 => kernel::<7>(a, b, stretch, scale, place),
            _ => kernel::<8>(a, b, stretch, scale, place),
        }
    }
}

/// # Safety
///
/// As for [`run`], with `R` rows.
#[target_feature(enable = "avx512f")]
unsafe fn kernel<const R: usize>(a: Rows, b: *const f32, stretch: Stretch, scale: f32, place: Place) {
    let mut sums: [[__m512; 3]; R] = [[_mm512_setzero_ps(); 3]; R];
    let (mut column, mut line) = (a.start, b);
    for _ in 0..stretch.len {
        // SAFETY: step `k` reads row `k` of the panel and column `k` of the rows of `a`.
        unsafe {
            let values =
                [_mm512_loadu_ps(line), _mm512_loadu_ps(line.add(16)), _mm512_loadu_ps(line.add(32))];
            for (r, sums) in sums.iter_mut().enumerate() {
                let factor = _mm512_set1_ps(*column.add(r * a.row_stride));
                for (sum, values) in sums.iter_mut().zip(values) {
                    *sum = _mm512_fmadd_ps(factor, values, *sum);
                }
            }
        }
        column = column.wrapping_add(a.col_stride);
        line = line.wrapping_add(COLS);
    }
    let masks: [__mmask16; 3] = std::array::from_fn(|i| {
        let left = place.width.saturating_sub(i * 16).min(16);
        ((1u32 << left) - 1) as __mmask16
    });
    let scale = _mm512_set1_ps(scale);
    for (r, sums) in sums.into_iter().enumerate() {
        for (i, (sum, mask)) in sums.into_iter().zip(masks).enumerate() {
            let mut sum = _mm512_mul_ps(sum, scale);
            let to = place.to.wrapping_add(r * place.stride + i * 16);
            // SAFETY: masked lanes are neither read nor written, and the others lie inside the tile.
            unsafe {
                if stretch.add {
                    sum = _mm512_add_ps(sum, _mm512_maskz_loadu_ps(mask, to));
                }
                _mm512_mask_storeu_ps(to, mask, sum);
            }
        }
    }
}
