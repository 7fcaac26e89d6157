//! Dense products of bf16 operands, summed in f32, on AMX: tiles of 16×48 values of the result in three tile registers.
//!
//! Words and panels are those of [`super::avx512bf16`], with the inner dimension padded by zeros to whole tiles of 16
//! words. The tile unit treats subnormal operands and sums as zero and rounds each of a pair's two products apart, so
//! results differ from the vector kernel's in the last bits.
//!
//! The instructions are written as assembly because stable Rust has no functions for them. A processor is trusted only
//! after it has multiplied one tile right; a stand-in in plain Rust does what the instructions are documented to do, so
//! that everything else here is tested on processors without them.

use std::cell::RefCell;
use std::sync::LazyLock;

use super::avx512bf16::pack;
use super::tiles::{BLOCK, COLS, Left, Micro, Place, Rows, Stretch, with_own};
use super::{Factor, Mat};
use crate::pairs::{Word, couple, interleave};
use crate::slice::Weight;
use crate::transpose::{Strip, turn};

/// Rows of a tile, and words that it takes at once.
const SIDE: usize = 16;

thread_local! {
    /// Kept between calls: fresh memory costs more than the packing.
    static LINES: RefCell<Vec<Word>> = const { RefCell::new(Vec::new()) };
}

/// Whether this processor has a tile unit for bf16, this process may use it, and it multiplies as documented.
pub(super) fn available() -> bool {
    static AVAILABLE: LazyLock<bool> = LazyLock::new(|| crate::pairs::available() && granted() && correct());
    *AVAILABLE
}

/// Whether processor and system offer tiles; asks the system for permission to use them.
#[cfg(target_os = "linux")]
fn granted() -> bool {
    use std::arch::x86_64::{__cpuid, __cpuid_count, _xgetbv};
    /// `arch_prctl`, its request for a state component, and the component that holds the tiles.
    const ARCH_PRCTL: i64 = 158;
    const REQUEST: i64 = 0x1023;
    const TILE_DATA: i64 = 18;

    if __cpuid(0).eax < 7 || __cpuid(1).ecx >> 27 & 1 == 0 {
        return false;
    }
    let (tile, bf16) = (1 << 24, 1 << 22);
    if __cpuid_count(7, 0).edx & (tile | bf16) != tile | bf16 {
        return false;
    }
    #[target_feature(enable = "xsave")]
    fn states() -> u64 {
        // SAFETY: reading which states the system saves changes nothing.
        unsafe { _xgetbv(0) }
    }
    // SAFETY: the system has switched XSAVE on, as the check above of its bit says.
    if unsafe { states() } >> 17 & 3 != 3 {
        return false;
    }
    let answer: i64;
    // SAFETY: this call takes two numbers and touches no memory of ours.
    unsafe {
        std::arch::asm!(
            "syscall", inlateout("rax") ARCH_PRCTL => answer, in("rdi") REQUEST, in("rsi") TILE_DATA,
            lateout("rcx") _, lateout("r11") _, options(nostack)
        );
    }
    answer == 0
}

#[cfg(not(target_os = "linux"))]
fn granted() -> bool {
    false
}

/// Whether the tile unit and the stand-in agree on one tile, on numbers that are exact in either.
fn correct() -> bool {
    let words = 2 * SIDE;
    let number = |i: usize| half::bf16::from_f32((i * 7 % 13) as f32 - 6.0).to_bits();
    let word = |i: usize| f32::from_bits(u32::from(number(2 * i)) | u32::from(number(2 * i + 1)) << 16);
    let a: Vec<Word> = (0..SIDE * words).map(word).collect();
    let b: Vec<Word> = (0..words * COLS).map(|i| word(i + 5)).collect();
    let (mut found, mut expected) = ([0.0; SIDE * COLS], [0.0; SIDE * COLS]);
    let rows = Rows { start: a.as_ptr(), row_stride: words, step: 1 };
    // SAFETY: the tile unit was granted; both operands have what the tiles read.
    unsafe {
        Unit::configure();
        Unit::multiply(rows, b.as_ptr(), words, &mut found);
        Unit::release();
        StandIn::multiply(rows, b.as_ptr(), words, &mut expected);
    }
    found == expected
}

/// What multiplies tiles.
pub(super) trait Multiply {
    /// Prepares this thread.
    ///
    /// # Safety
    ///
    /// The processor has what is used.
    unsafe fn configure();

    /// Ends what [`Self::configure`] began.
    ///
    /// # Safety
    ///
    /// The thread was prepared.
    unsafe fn release();

    /// `sums[r · 48 + c] = Σ_w a[r][w] · b[w][c]` over pairs, for 16 rows. `words` is a multiple of 16, and not 0.
    ///
    /// # Safety
    ///
    /// The thread was prepared. `a` has 16 rows of contiguous words, `b` has `words` rows of 48.
    unsafe fn multiply(a: Rows, b: *const Word, words: usize, sums: &mut [f32; SIDE * COLS]);
}

/// The tile unit.
pub(super) struct Unit;

/// Tile registers 0 to 6, 16 rows of 64 bytes each.
#[repr(C, align(64))]
struct Config {
    palette: u8,
    start_row: u8,
    reserved: [u8; 14],
    bytes: [u16; 16],
    rows: [u8; 16],
}

static CONFIG: Config = {
    let (mut bytes, mut rows) = ([0; 16], [0; 16]);
    let mut i = 0;
    while i < 7 {
        (bytes[i], rows[i]) = (64, SIDE as u8);
        i += 1;
    }
    Config { palette: 1, start_row: 0, reserved: [0; 14], bytes, rows }
};

impl Multiply for Unit {
    unsafe fn configure() {
        // SAFETY: the processor has tiles, and the configuration is one that it takes.
        unsafe {
            std::arch::asm!("ldtilecfg [{}]", in(reg) &raw const CONFIG, options(nostack, readonly, preserves_flags));
        }
    }

    unsafe fn release() {
        // SAFETY: nothing reads the tiles any more.
        unsafe { std::arch::asm!("tilerelease", options(nostack, nomem, preserves_flags)) }
    }

    unsafe fn multiply(a: Rows, b: *const Word, words: usize, sums: &mut [f32; SIDE * COLS]) {
        // SAFETY: every step reads 16 rows of 16 words of `a` and 16 rows of 48 words of `b`, of which the caller says that
        // they are there, and the sums have 16 rows of 48 values. Panels and sums have rows of 192 bytes.
        unsafe {
            std::arch::asm!(
                "tilezero tmm0",
                "tilezero tmm1",
                "tilezero tmm2",
                "2:",
                "tileloadd tmm3, [{a} + {a_stride}*1]",
                "tileloadd tmm4, [{b} + {b_stride}*1]",
                "tileloadd tmm5, [{b} + {b_stride}*1 + 64]",
                "tileloadd tmm6, [{b} + {b_stride}*1 + 128]",
                "tdpbf16ps tmm0, tmm3, tmm4",
                "tdpbf16ps tmm1, tmm3, tmm5",
                "tdpbf16ps tmm2, tmm3, tmm6",
                "add {a}, 64",
                "add {b}, 3072",
                "dec {steps}",
                "jnz 2b",
                "tilestored [{sums} + {b_stride}*1], tmm0",
                "tilestored [{sums} + {b_stride}*1 + 64], tmm1",
                "tilestored [{sums} + {b_stride}*1 + 128], tmm2",
                a = inout(reg) a.start => _,
                b = inout(reg) b => _,
                steps = inout(reg) words / SIDE => _,
                a_stride = in(reg) a.row_stride * 4,
                b_stride = in(reg) COLS * 4,
                sums = in(reg) sums.as_mut_ptr(),
                out("tmm0") _, out("tmm1") _, out("tmm2") _, out("tmm3") _, out("tmm4") _, out("tmm5") _, out("tmm6") _,
                options(nostack)
            );
        }
    }
}

/// What the instructions are documented to do, in plain Rust.
pub(super) struct StandIn;

impl Multiply for StandIn {
    unsafe fn configure() {}

    unsafe fn release() {}

    unsafe fn multiply(a: Rows, b: *const Word, words: usize, sums: &mut [f32; SIDE * COLS]) {
        let halves = |word: Word| [word.to_bits() << 16, word.to_bits() & 0xffff_0000].map(f32::from_bits);
        sums.fill(0.0);
        for (r, sums) in sums.chunks_exact_mut(COLS).enumerate() {
            for w in 0..words {
                // SAFETY: row `r` of `a` has `words` words.
                let a = halves(unsafe { *a.start.add(r * a.row_stride + w) });
                for (c, sum) in sums.iter_mut().enumerate() {
                    // SAFETY: `b` has `words` rows of 48.
                    let b = halves(unsafe { *b.add(w * COLS + c) });
                    *sum = a[1].mul_add(b[1], a[0].mul_add(b[0], *sum));
                }
            }
        }
    }
}

/// bf16 operands in tiles, multiplied by `U`. The processor must have AVX-512 (F, BW, VL, BF16) and what `U` needs.
pub(super) struct Tiles<U>(std::marker::PhantomData<U>);

impl<U: Multiply> Micro for Tiles<U> {
    const PER_WORD: usize = 2;
    const STEP: usize = 2 * SIDE;
    const DEPTH: usize = 1536;
    const ROWS: usize = SIDE;

    fn pack(b: Factor<'_>, at: usize, width: usize, stretch: Stretch, panels: &mut [Word]) {
        pack(b, (at, width), stretch, Self::words(stretch.len), panels);
    }

    fn with_rows(a: Mat<'_>, first: usize, count: usize, stretch: Stretch, work: impl FnOnce(Left<'_>)) {
        let (pairs, words) = (stretch.len.div_ceil(2), Self::words(stretch.len));
        let data = Weight::F32(a.data);
        with_own::<Self>(|own| {
            if a.col_stride == 1 {
                for (r, line) in own.chunks_exact_mut(words).take(count).enumerate() {
                    couple(data.part((first + r) * a.row_stride + stretch.from, stretch.len), line);
                }
            } else {
                let mut lines = LINES.take();
                lines.resize(BLOCK * Self::DEPTH / 2, 0.0);
                for (p, line) in lines.chunks_exact_mut(BLOCK).take(pairs).enumerate() {
                    let row = |k: usize| {
                        let start = (stretch.from + k) * a.col_stride + first;
                        (k < stretch.len).then(|| data.part(start, count))
                    };
                    interleave(row(2 * p), row(2 * p + 1), &mut line[..count]);
                }
                turn(&lines, Strip { stride: BLOCK, first: 0, width: count, tokens: pairs }, own, words);
                LINES.replace(lines);
            }
            own.chunks_exact_mut(words).take(count).for_each(|line| line[pairs..].fill(0.0));
            // SAFETY: the processor has what `U` needs, and `work` stays on this thread.
            unsafe { U::configure() };
            work(Left::rows(own, words));
            // SAFETY: as above.
            unsafe { U::release() };
        });
    }

    unsafe fn tile(a: Rows, b: *const Word, words: usize, place: Place, rows: usize) {
        let mut sums = [0.0; SIDE * COLS];
        // SAFETY: rows of `a` lie in a buffer for whole blocks, so that there are 16 from every tile's first; the rest is
        // passed on to the caller. What rows beyond `rows` hold reaches only sums that are not written.
        unsafe {
            U::multiply(a, b, words, &mut sums);
            place.write_rows(&sums, rows);
        }
    }
}
