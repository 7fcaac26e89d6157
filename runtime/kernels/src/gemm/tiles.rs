//! What our products share: panels of one operand, blocks of rows of the other, and tiles of the result.
//!
//! `b` is packed into panels of 48 columns, shared by all threads; tiles of 8 or 16 by 48 values of the result stay in
//! registers while the inner dimension runs. Which thread computes a tile does not change its value. What a word of a
//! packed operand holds, and the loop over them, is up to a [`Micro`].

use std::arch::x86_64::{
    __m512, __mmask16, _mm512_add_ps, _mm512_mask_storeu_ps, _mm512_maskz_loadu_ps, _mm512_mul_ps,
    _mm512_set1_ps,
};
use std::cell::RefCell;

use rayon::prelude::*;

use super::{Factor, Mat, Out};
use crate::Exec;

/// Columns of a panel of `b`.
pub(super) const COLS: usize = 48;
/// Rows of `a` in one task.
pub(super) const BLOCK: usize = 64;
/// Panels packed by one task: their lines lie side by side in `b`, and longer runs of memory are read faster.
const TOGETHER: usize = 4;
/// Words of `b` packed at a time.
const PACKED: usize = 1 << 20;

thread_local! {
    /// Kept between calls: fresh memory costs more than the packing.
    static SHARED: RefCell<Vec<f32>> = const { RefCell::new(Vec::new()) };
    /// A block of rows of the left operand, which no other thread reads.
    static OWN: RefCell<Vec<f32>> = const { RefCell::new(Vec::new()) };
}

/// One stretch of the inner dimension.
#[derive(Clone, Copy)]
pub(super) struct Stretch {
    pub(super) from: usize,
    pub(super) len: usize,
    /// Add to what is in the target.
    add: bool,
}

/// A numeric mode: what the operands are packed as, and the loop that multiplies them. Words are 32 bits wide.
pub(super) trait Micro {
    /// Values of the inner dimension in a word.
    const PER_WORD: usize;
    /// Values of the inner dimension that a tile takes at once: a multiple of [`Self::PER_WORD`].
    const STEP: usize;
    /// The longest stretch a tile runs over at once; a multiple of [`Self::STEP`].
    const DEPTH: usize;
    /// Rows of a tile.
    const ROWS: usize;

    /// Words that `len` values of the inner dimension are packed into.
    fn words(len: usize) -> usize {
        len.next_multiple_of(Self::STEP) / Self::PER_WORD
    }

    /// Packs `width` columns of `b` from `at` over a stretch into as many panels as they fill: word `w` of column `c` of
    /// a panel at `w · 48 + c`.
    fn pack(b: Factor<'_>, at: usize, width: usize, stretch: Stretch, panels: &mut [f32]);

    /// Calls `work` with rows `first..first + count` of `a` over a stretch, packed if need be.
    fn with_rows(a: Mat<'_>, first: usize, count: usize, stretch: Stretch, work: impl FnOnce(Left<'_>));

    /// Computes one tile.
    ///
    /// # Safety
    ///
    /// The processor has what the mode needs. `a` has `rows` rows (1 to [`Self::ROWS`]) of `words` words in memory for
    /// [`Self::ROWS`] of them, `b` as many rows of 48 words, and `place` has `rows` rows of its width (at most 48) that no
    /// other thread touches. It is called from within [`Self::with_rows`].
    unsafe fn tile(a: Rows, b: *const f32, words: usize, place: Place, rows: usize);
}

/// Calls `work` with this thread's memory for one block of rows of the left operand.
pub(super) fn with_own<M: Micro>(work: impl FnOnce(&mut [f32])) {
    let mut own = OWN.take();
    let size = BLOCK * M::DEPTH / M::PER_WORD;
    if own.len() < size {
        own.resize(size, 0.0);
    }
    work(&mut own);
    OWN.replace(own);
}

/// How values of the left operand become words, in modes whose tiles have 8 rows.
pub(super) trait Words: Micro {
    /// Packs the values of one row.
    fn along(values: &[f32], words: &mut [f32]);

    /// Gives `put` one word of each row of a block. `line(k)` holds the values of all rows at `k` of the inner
    /// dimension, and is `None` past its end. The words may lie in `scratch`; they are then followed by words without
    /// meaning, up to a whole tile of rows.
    fn across<'a>(
        word: usize,
        line: impl Fn(usize) -> Option<&'a [f32]>,
        scratch: &mut [f32; BLOCK],
        put: impl FnMut(&[f32]),
    );
}

/// [`Micro::with_rows`] for tiles of 8 rows.
pub(super) fn with_rows_of_words<M: Words>(
    a: Mat<'_>,
    first: usize,
    count: usize,
    stretch: Stretch,
    work: impl FnOnce(Left<'_>),
) {
    if a.col_stride == 1 && M::PER_WORD == 1 {
        return work(Left::rows(&a.data[first * a.row_stride + stretch.from..], a.row_stride));
    }
    let words = M::words(stretch.len);
    with_own::<M>(|own| {
        if a.col_stride == 1 {
            for (r, line) in own.chunks_exact_mut(words).take(count).enumerate() {
                M::along(&a.data[(first + r) * a.row_stride + stretch.from..][..stretch.len], line);
            }
            return work(Left::rows(own, words));
        }
        let line = |k: usize| {
            let start = (stretch.from + k) * a.col_stride + first;
            (k < stretch.len).then(|| &a.data[start..start + count])
        };
        let mut scratch = [0.0; BLOCK];
        for word in 0..words {
            M::across(word, line, &mut scratch, |line| {
                let (whole, rest) = line.as_chunks::<8>();
                for (tile, part) in whole.iter().enumerate() {
                    own[(tile * words + word) * 8..][..8].copy_from_slice(part);
                }
                if !rest.is_empty() {
                    own[(whole.len() * words + word) * 8..][..rest.len()].copy_from_slice(rest);
                }
            });
        }
        work(Left::packed(own, words));
    });
}

/// How a right factor of a size is cut: blocks of columns, and of each block stretches of the inner dimension.
#[derive(Clone, Copy)]
pub(super) struct Plan {
    inner: usize,
    cols: usize,
    /// Of a stretch but the last.
    depth: usize,
    /// Of a block but the last.
    width: usize,
}

/// One block over one stretch.
#[derive(Clone, Copy)]
struct Block {
    first: usize,
    count: usize,
    stretch: Stretch,
    /// Words of its panels.
    size: usize,
}

impl Plan {
    /// The plan for `[inner, cols]`, neither of them 0.
    pub(super) fn new<M: Micro>(inner: usize, cols: usize) -> Self {
        let depth = inner.div_ceil(inner.div_ceil(M::DEPTH)).next_multiple_of(M::STEP);
        let width = (PACKED / M::words(depth)).next_multiple_of(COLS).min(cols.next_multiple_of(COLS));
        Self { inner, cols, depth, width }
    }

    /// Words of the whole factor, packed.
    pub(super) fn size<M: Micro>(&self) -> usize {
        self.cols.next_multiple_of(COLS) * self.words::<M>()
    }

    /// Words of one column.
    fn words<M: Micro>(&self) -> usize {
        let (whole, rest) = (self.inner / self.depth, self.inner % self.depth);
        whole * M::words(self.depth) + M::words(rest)
    }

    /// The blocks in the order they are packed in.
    fn blocks<M: Micro>(self, add: bool) -> impl Iterator<Item = Block> {
        (0..self.cols).step_by(self.width).flat_map(move |first| {
            let count = self.width.min(self.cols - first);
            (0..self.inner).step_by(self.depth).map(move |from| {
                let len = self.depth.min(self.inner - from);
                let size = count.next_multiple_of(COLS) * M::words(len);
                Block { first, count, stretch: Stretch { from, len, add: add || from > 0 }, size }
            })
        })
    }

    /// Where the value at `[k, c]` lies in the packed factor, counted in values, [`Micro::PER_WORD`] to a word.
    pub(super) fn place<M: Micro>(&self, k: usize, c: usize) -> usize {
        let (first, from) = (c / self.width * self.width, k / self.depth * self.depth);
        let count = self.width.min(self.cols - first).next_multiple_of(COLS);
        let words = M::words(self.depth.min(self.inner - from));
        let block = first * self.words::<M>() + count * (from / self.depth * M::words(self.depth));
        let panel = block + (c - first) / COLS * COLS * words;
        let word = panel + (k - from) / M::PER_WORD * COLS + (c - first) % COLS;
        word * M::PER_WORD + (k - from) % M::PER_WORD
    }
}

/// `out (+)= scale · a · b`, on the threads of `exec` if given. The matrices fit and lie inside their slices, and the
/// processor has what `M` needs.
pub(super) fn product<M: Micro>(
    exec: Option<&Exec>,
    a: Mat<'_>,
    b: Factor<'_>,
    scale: f32,
    mut out: Out<'_>,
) {
    let Some((plan, target)) = begin::<M>(a, b.cols, scale, &mut out) else { return nothing(a, b.cols, out) };
    let mut packed = SHARED.take();
    for block in plan.blocks::<M>(out.add) {
        if packed.len() < block.size {
            packed.resize(block.size, 0.0);
        }
        let panels = &mut packed[..block.size];
        fill::<M>(exec, b, block, panels);
        tiles::<M>(exec, a, panels, block, target);
    }
    SHARED.replace(packed);
}

/// The same with a factor of `cols` columns that [`pack`] has packed.
pub(super) fn product_packed<M: Micro>(
    exec: Option<&Exec>,
    a: Mat<'_>,
    (mut panels, cols): (&[f32], usize),
    mut out: Out<'_>,
) {
    let Some((plan, target)) = begin::<M>(a, cols, 1.0, &mut out) else { return nothing(a, cols, out) };
    assert_eq!(panels.len(), plan.size::<M>(), "a packed factor of this size");
    for block in plan.blocks::<M>(out.add) {
        let (now, later) = panels.split_at(block.size);
        tiles::<M>(exec, a, now, block, target);
        panels = later;
    }
}

/// A whole factor, packed.
pub(super) fn pack<M: Micro>(exec: Option<&Exec>, b: Factor<'_>) -> Vec<f32> {
    let plan = Plan::new::<M>(b.rows, b.cols);
    let mut packed = vec![0.0; plan.size::<M>()];
    let mut rest = packed.as_mut_slice();
    for block in plan.blocks::<M>(false) {
        let (now, later) = rest.split_at_mut(block.size);
        fill::<M>(exec, b, block, now);
        rest = later;
    }
    packed
}

/// How a product is cut and where it goes; `None` if no product of two values is in it.
fn begin<M: Micro>(a: Mat<'_>, cols: usize, scale: f32, out: &mut Out<'_>) -> Option<(Plan, Target)> {
    let target = Target { start: out.data.as_mut_ptr(), stride: out.row_stride, scale };
    (a.rows > 0 && cols > 0 && a.cols > 0).then(|| (Plan::new::<M>(a.cols, cols), target))
}

/// The product of matrices of which one is empty.
fn nothing(a: Mat<'_>, cols: usize, out: Out<'_>) {
    if !out.add && a.rows > 0 && cols > 0 {
        (0..a.rows).for_each(|r| out.data[r * out.row_stride..][..cols].fill(0.0));
    }
}

/// Packs a block into its panels.
fn fill<M: Micro>(exec: Option<&Exec>, b: Factor<'_>, block: Block, panels: &mut [f32]) {
    let Block { first, count, stretch, .. } = block;
    let some = TOGETHER * COLS * M::words(stretch.len);
    let work = |(i, panels): (usize, &mut [f32])| {
        let at = first + i * TOGETHER * COLS;
        M::pack(b, at, (TOGETHER * COLS).min(first + count - at), stretch, panels);
    };
    match exec {
        Some(exec) if panels.len() > some => {
            exec.run(|| panels.par_chunks_mut(some).enumerate().for_each(work));
        }
        _ => panels.chunks_mut(some).enumerate().for_each(work),
    }
}

/// All tiles of a block of columns over one stretch.
fn tiles<M: Micro>(exec: Option<&Exec>, a: Mat<'_>, panels: &[f32], block: Block, target: Target) {
    let Block { first, count, stretch, .. } = block;
    let words = M::words(stretch.len);
    let size = COLS * words;
    let (row_blocks, panel_count) = (a.rows.div_ceil(BLOCK), panels.len() / size);
    let threads = exec.map_or(1, Exec::threads);
    // Cut columns too if there are few blocks of rows, so that every thread has several tasks.
    let groups = (threads * 4).div_ceil(row_blocks).clamp(1, panel_count);
    let group = panel_count.div_ceil(groups);
    let task = |i: usize| {
        let (block, part) = (i % row_blocks, i / row_blocks);
        let rows = block * BLOCK..((block + 1) * BLOCK).min(a.rows);
        let last = ((part + 1) * group).min(panel_count);
        M::with_rows(a, rows.start, rows.len(), stretch, |left| {
            for j in part * group..last {
                let column = first + j * COLS;
                let width = COLS.min(first + count - column);
                let b = panels[j * size..][..size].as_ptr();
                for at in rows.clone().step_by(M::ROWS) {
                    let place = target.place(at, column, width, stretch.add);
                    let tile = left.tile::<M>(at - rows.start);
                    // SAFETY: the tile of `a` has these rows and strides, `b` is a panel, and the place lies inside
                    // the target (the caller checked) and is this task's alone.
                    unsafe { M::tile(tile, b, words, place, M::ROWS.min(rows.end - at)) };
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

/// Calls `$kernel::<R>($args)` with the constant `R` that `$rows` is, 1 to 8.
macro_rules! by_rows {
    ($rows:expr, $kernel:ident($($arg:expr),*)) => {
        match $rows {
            1 => $kernel::<1>($($arg),*),
            2 => $kernel::<2>($($arg),*),
            3 => $kernel::<3>($($arg),*),
            4 => $kernel::<4>($($arg),*),
            5 => $kernel::<5>($($arg),*),
            6 => $kernel::<6>($($arg),*),
            7 => $kernel::<7>($($arg),*),
            _ => $kernel::<8>($($arg),*),
        }
    };
}
pub(super) use by_rows;

/// The function `kernel::<R>(a, b, words, place)`: a tile of `R` rows, as [`Micro::tile`] says. `load` reads 16 words of a
/// row of the panel, `spread` repeats a word of `a`, and `add` multiplies the two and adds them to a sum.
macro_rules! kernel {
    (
        $features:literal,
        load: |$at:ident| $load:expr,
        spread: |$word:ident| $spread:expr,
        add: |$sum:ident, $factor:ident, $values:ident| $add:expr $(,)?
    ) => {
        /// # Safety
        ///
        /// As for [`Micro::tile`].
        #[target_feature(enable = $features)]
        unsafe fn kernel<const R: usize>(a: Rows, b: *const f32, words: usize, place: Place) {
            let mut sums: [[__m512; 3]; R] = [[_mm512_setzero_ps(); 3]; R];
            let (mut column, mut line) = (a.start, b);
            for _ in 0..words {
                // SAFETY: step `w` reads row `w` of the panel and column `w` of the rows of `a`.
                unsafe {
                    let values = [0, 16, 32].map(|i| {
                        let $at = line.add(i);
                        $load
                    });
                    for (r, sums) in sums.iter_mut().enumerate() {
                        let $word = column.add(r * a.row_stride);
                        let $factor = $spread;
                        for (sum, $values) in sums.iter_mut().zip(values) {
                            let $sum = *sum;
                            *sum = $add;
                        }
                    }
                }
                column = column.wrapping_add(a.step);
                line = line.wrapping_add(COLS);
            }
            // SAFETY: passed on to the caller.
            unsafe { place.write(sums) }
        }
    };
}
pub(super) use kernel;

/// A block of rows of `a` over one stretch: word `w` of row `r` of a tile lies at `r · row_stride + w · step`.
#[derive(Clone, Copy)]
pub(super) struct Left<'a> {
    words: &'a [f32],
    row_stride: usize,
    step: usize,
    /// Words from a tile of 8 rows to the next.
    tile: usize,
}

impl<'a> Left<'a> {
    /// Rows whose words are contiguous and which lie `stride` apart.
    pub(super) fn rows(words: &'a [f32], stride: usize) -> Self {
        Self { words, row_stride: stride, step: 1, tile: 8 * stride }
    }

    /// Tiles `[tile][words][8]`.
    pub(super) fn packed(data: &'a [f32], words: usize) -> Self {
        Self { words: data, row_stride: 1, step: 8, tile: 8 * words }
    }

    /// The tile that begins at a row of the block.
    fn tile<M: Micro>(self, row: usize) -> Rows {
        debug_assert!(row.is_multiple_of(M::ROWS), "tiles begin at whole tiles");
        let start = self.words[row / 8 * self.tile..].as_ptr();
        Rows { start, row_stride: self.row_stride, step: self.step }
    }
}

/// The rows of `a` of one tile.
#[derive(Clone, Copy)]
pub(super) struct Rows {
    pub(super) start: *const f32,
    pub(super) row_stride: usize,
    pub(super) step: usize,
}

/// Where tiles are written, by several threads at different places.
#[derive(Clone, Copy)]
struct Target {
    start: *mut f32,
    stride: usize,
    scale: f32,
}

// SAFETY: every tile is written by one task, and tiles do not overlap.
unsafe impl Send for Target {}
// SAFETY: as above.
unsafe impl Sync for Target {}

impl Target {
    /// Where a tile begins.
    fn place(&self, row: usize, col: usize, width: usize, add: bool) -> Place {
        let to = self.start.wrapping_add(row * self.stride + col);
        Place { to, stride: self.stride, width, scale: self.scale, add }
    }
}

/// Where a tile of the result is written, and how.
#[derive(Clone, Copy)]
pub(super) struct Place {
    to: *mut f32,
    stride: usize,
    width: usize,
    scale: f32,
    add: bool,
}

impl Place {
    /// Writes the first `rows` rows of 48 sums.
    ///
    /// # Safety
    ///
    /// The place has so many rows that no other thread touches.
    pub(super) unsafe fn write_rows(self, sums: &[f32], rows: usize) {
        for (r, sums) in sums.chunks_exact(COLS).take(rows).enumerate() {
            // SAFETY: the caller has this row to itself, and it is `width` values wide.
            let to = unsafe { std::slice::from_raw_parts_mut(self.to.add(r * self.stride), self.width) };
            if self.add {
                to.iter_mut().zip(sums).for_each(|(to, sum)| *to += sum * self.scale);
            } else {
                to.iter_mut().zip(sums).for_each(|(to, sum)| *to = sum * self.scale);
            }
        }
    }

    /// Writes the sums of a tile.
    ///
    /// # Safety
    ///
    /// The processor has AVX-512 F, and the place has `R` rows that no other thread touches.
    #[inline]
    #[target_feature(enable = "avx512f")]
    pub(super) unsafe fn write<const R: usize>(self, sums: [[__m512; 3]; R]) {
        let masks: [__mmask16; 3] = std::array::from_fn(|i| {
            let left = self.width.saturating_sub(i * 16).min(16);
            ((1u32 << left) - 1) as __mmask16
        });
        let scale = _mm512_set1_ps(self.scale);
        for (r, sums) in sums.into_iter().enumerate() {
            for (i, (sum, mask)) in sums.into_iter().zip(masks).enumerate() {
                let mut sum = _mm512_mul_ps(sum, scale);
                let to = self.to.wrapping_add(r * self.stride + i * 16);
                // SAFETY: masked lanes are neither read nor written, and the others lie inside the tile.
                unsafe {
                    if self.add {
                        sum = _mm512_add_ps(sum, _mm512_maskz_loadu_ps(mask, to));
                    }
                    _mm512_mask_storeu_ps(to, mask, sum);
                }
            }
        }
    }
}
