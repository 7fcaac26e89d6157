//! The code of the gaps between the positions of one block of entries.
//!
//! Where each of `cells` places is taken with the same chance p, the gap before the next taken one
//! is geometric: P(g) = p (1 - p)^g. Its low bits are nearly uniform when p is small, and are
//! written as they are; the rest is again geometric, of a chance between 1/16 and 1/8, and is coded
//! by a table of a few dozen symbols. The last symbol of the table stands for "all of these and
//! more": a geometric number has no memory, so nothing is lost by beginning again.
//!
//! Both sides make the table from the two counts by multiplications alone, which give the same
//! numbers on every machine.

use constriction::stream::Decode;
use constriction::stream::stack::AnsCoder;

use super::table::{Bits, PRECISION, Slot, Table};

/// The reading side of the coder.
pub type Decoder<'a> = AnsCoder<u32, u64, constriction::backends::Cursor<u32, &'a [u32]>>;

/// The code of gaps.
pub struct Gaps {
    table: Table,
    /// The symbols of the table but the last: the last one means at least so many.
    plain: usize,
    /// How many low bits are written as they are.
    low: u32,
}

impl Gaps {
    /// The code where `count` of `cells` places are taken: more than none and less than all.
    pub fn new(count: u64, cells: u64) -> Self {
        debug_assert!((1..cells).contains(&count));
        // The chance that a group of 2^low places is free.
        let mut free = (cells - count) as f64 / cells as f64;
        let mut low = 0;
        while 1.0 - free * free <= 0.125 {
            free *= free;
            low += 1;
        }
        let mut tail = free;
        let mut plain = 1;
        while tail > 1.0 / 64.0 && plain < 64 {
            tail *= free;
            plain += 1;
        }
        let mut left = 1.0;
        let ends = (0..plain).map(|_| {
            left *= free;
            ((1.0 - left) * f64::from(1u32 << PRECISION) + 0.5) as u32
        });
        Self { table: Table::new(ends), plain, low }
    }

    /// Appends the symbols of a gap.
    pub fn put(&self, gap: u64, out: &mut Vec<Slot>) {
        let mut high = gap >> self.low;
        while high >= self.plain as u64 {
            out.push(self.table.slot(self.plain));
            high -= self.plain as u64;
        }
        out.push(self.table.slot(high as usize));
        let mut left = self.low;
        while left > 0 {
            let width = left.min(PRECISION as u32);
            left -= width;
            out.push(Slot::bits(gap >> left, width));
        }
    }

    /// Reads a gap; `None` if it is more than `most`.
    #[inline]
    pub fn take(&self, decoder: &mut Decoder<'_>, most: u64) -> Option<u64> {
        let mut high = 0;
        loop {
            let Ok(symbol) = Decode::<PRECISION>::decode_symbol(decoder, &self.table);
            high += u64::from(symbol);
            if usize::from(symbol) < self.plain {
                break;
            }
            if high << self.low > most {
                return None;
            }
        }
        let mut gap = high;
        let mut left = self.low;
        while left > 0 {
            let width = left.min(PRECISION as u32);
            left -= width;
            let Ok(bits) = Decode::<PRECISION>::decode_symbol(decoder, Bits(width));
            gap = gap << width | bits;
        }
        (gap <= most).then_some(gap)
    }
}
