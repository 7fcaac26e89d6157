//! Frequency tables for the entropy coder: symbols, each with a share of 4096.

use std::num::NonZeroU16;

use constriction::stream::model::{DecoderModel, EncoderModel, EntropyModel};

/// Shares are out of 2 to the power of this.
pub const PRECISION: usize = 12;
const WHOLE: u16 = 1 << PRECISION;

/// One coded symbol: where its share begins, and how large it is. What the encoder is given, in
/// reverse, since the coder is a stack.
#[derive(Clone, Copy, Debug)]
pub struct Slot {
    begin: u16,
    share: NonZeroU16,
}

impl Slot {
    /// The lowest `width` bits of a number as a symbol; `width` is at most [`PRECISION`].
    pub fn bits(number: u64, width: u32) -> Self {
        let shift = PRECISION as u32 - width;
        let begin = (number & ((1 << width) - 1)) << shift;
        Self { begin: begin as u16, share: NonZeroU16::new(1 << shift).unwrap_or(NonZeroU16::MIN) }
    }
}

impl EntropyModel<PRECISION> for Slot {
    type Symbol = ();
    type Probability = u16;
}

impl EncoderModel<PRECISION> for Slot {
    fn left_cumulative_and_probability(&self, _: impl std::borrow::Borrow<()>) -> Option<(u16, NonZeroU16)> {
        Some((self.begin, self.share))
    }
}

/// This many equally likely bits.
#[derive(Clone, Copy)]
pub struct Bits(pub u32);

impl EntropyModel<PRECISION> for Bits {
    type Symbol = u64;
    type Probability = u16;
}

impl DecoderModel<PRECISION> for Bits {
    fn quantile_function(&self, quantile: u16) -> (u64, u16, NonZeroU16) {
        let symbol = u64::from(quantile) >> (PRECISION as u32 - self.0);
        let slot = Slot::bits(symbol, self.0);
        (symbol, slot.begin, slot.share)
    }
}

/// The shares of a few symbols, and the symbol at each place.
pub struct Table {
    slots: [Slot; Table::MOST],
    at: Box<[u8; WHOLE as usize]>,
}

impl Table {
    /// The most symbols of a table.
    pub const MOST: usize = 128;

    /// A table from the places, out of 4096, where the symbols after the first should begin. Each
    /// symbol gets at least one place.
    pub fn new(ends: impl ExactSizeIterator<Item = u32>) -> Self {
        let symbols = ends.len() + 1;
        debug_assert!(symbols <= Self::MOST);
        let mut slots = [Slot { begin: 0, share: NonZeroU16::MIN }; Self::MOST];
        let mut at = Box::new([0; WHOLE as usize]);
        let mut begin = 0;
        for (symbol, end) in ends.chain([u32::from(WHOLE)]).enumerate() {
            let most = u32::from(WHOLE) - (symbols - 1 - symbol) as u32;
            let end = end.clamp(begin + 1, most);
            let share = NonZeroU16::new((end - begin) as u16).unwrap_or(NonZeroU16::MIN);
            slots[symbol] = Slot { begin: begin as u16, share };
            at[begin as usize..end as usize].fill(symbol as u8);
            begin = end;
        }
        Self { slots, at }
    }

    /// A table of symbols that occur this often. They are not all zero.
    pub fn of_counts(counts: &[u64]) -> Self {
        let total: u128 = counts.iter().map(|&c| u128::from(c)).sum::<u128>().max(1);
        let mut sum = 0u128;
        let ends: Vec<u32> = counts[..counts.len() - 1]
            .iter()
            .map(|&c| {
                sum += u128::from(c);
                ((sum * u128::from(WHOLE) + total / 2) / total) as u32
            })
            .collect();
        Self::new(ends.into_iter())
    }

    /// The slot of a symbol.
    pub fn slot(&self, symbol: usize) -> Slot {
        self.slots[symbol]
    }
}

impl EntropyModel<PRECISION> for Table {
    type Symbol = u8;
    type Probability = u16;
}

impl DecoderModel<PRECISION> for Table {
    #[inline]
    fn quantile_function(&self, quantile: u16) -> (u8, u16, NonZeroU16) {
        let symbol = self.at[usize::from(quantile % WHOLE)];
        // Symbols are below the length, which the compiler cannot know.
        let slot = self.slots[usize::from(symbol) % Self::MOST];
        (symbol, slot.begin, slot.share)
    }
}
