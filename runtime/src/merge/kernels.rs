//! The inner loops of merging, compiled for the vector instructions at hand.

use crate::ops::simd::multiversion;

/// Everything but the sign.
const MAGNITUDE: u32 = 0x7fff_ffff;

multiversion! {
    /// `out += scale * values`.
    pub(super) fn add_scaled<I>(out: &mut [f32], values: &[f32], scale: f32) {
        for (out, v) in out.iter_mut().zip(values) {
            *out += scale * v;
        }
    }
}

multiversion! {
    /// `out += values`.
    pub(super) fn add<I>(out: &mut [f32], values: &[f32]) {
        for (out, v) in out.iter_mut().zip(values) {
            *out += v;
        }
    }
}

multiversion! {
    /// `out = values - base`.
    pub(super) fn difference<I>(out: &mut [f32], values: &[f32], base: &[f32]) {
        for ((out, v), b) in out.iter_mut().zip(values).zip(base) {
            *out = v - b;
        }
    }
}

multiversion! {
    /// `values *= scale`.
    pub(super) fn scale<I>(values: &mut [f32], scale: f32) {
        for v in values {
            *v *= scale;
        }
    }
}

multiversion! {
    /// Multiplies by `scale` what has magnitude bits from `low` to below `high`, and zeroes the rest.
    pub(super) fn window<I>(values: &mut [f32], low: u32, high: u32, scale: f32) {
        for v in values {
            let key = v.to_bits() & MAGNITUDE;
            let keep = (key >= low) & (key < high);
            *v = if keep { *v * scale } else { 0.0 };
        }
    }
}

multiversion! {
    /// Adds to `mixed` those of `values` that have the sign of `total` (which counts as positive
    /// where it is zero), and `weight` to the `divisor` of each.
    pub(super) fn agree<I>(mixed: &mut [f32], divisor: &mut [f32], total: &[f32], values: &[f32], weight: f32) {
        for (((mixed, divisor), total), v) in mixed.iter_mut().zip(divisor).zip(total).zip(values) {
            let agrees = if *total >= 0.0 { *v > 0.0 } else { *v < 0.0 };
            *mixed += if agrees { *v } else { 0.0 };
            *divisor += if agrees { weight } else { 0.0 };
        }
    }
}

multiversion! {
    /// `mixed /= divisor`, which counts as 1 where it is zero.
    pub(super) fn divide<I>(mixed: &mut [f32], divisor: &[f32]) {
        for (mixed, divisor) in mixed.iter_mut().zip(divisor) {
            *mixed /= if *divisor == 0.0 { 1.0 } else { *divisor };
        }
    }
}

multiversion! {
    /// How many magnitudes have just these bits.
    pub(super) fn count_at<I>(values: &[f32], key: u32) -> u64 {
        let mut count = 0u32;
        for v in values {
            count += u32::from(v.to_bits() & MAGNITUDE == key);
        }
        u64::from(count)
    }
}

multiversion! {
    /// The inner product, added up in f64.
    pub(super) fn dot<I>(a: &[f32], b: &[f32]) -> f64 {
        let mut lanes = [0.0f64; 16];
        let (a, a_rest) = a.as_chunks::<16>();
        let (b, b_rest) = b.as_chunks::<16>();
        for (x, y) in a.iter().zip(b) {
            for ((lane, x), y) in lanes.iter_mut().zip(x).zip(y) {
                *lane += f64::from(*x) * f64::from(*y);
            }
        }
        let mut sum = 0.0;
        for lane in lanes {
            sum += lane;
        }
        for (x, y) in a_rest.iter().zip(b_rest) {
            sum += f64::from(*x) * f64::from(*y);
        }
        sum
    }
}

multiversion! {
    /// Whether no value is infinite or not a number. One comparison for each, without branches.
    pub(super) fn all_finite<I>(values: &[f32]) -> bool {
        let mut most = 0i32;
        for v in values {
            most = most.max((v.to_bits() & MAGNITUDE) as i32);
        }
        most < f32::INFINITY.to_bits() as i32
    }
}

multiversion! {
    /// One more value for running means and sums of squares around them (Welford's), entry by entry: the task
    /// vector of `values`. `share` is one over how many there are with it.
    pub(super) fn welford<I>(means: &mut [f64], squares: &mut [f64], values: &[f32], base: &[f32], share: f64) {
        for (((mean, squares), v), b) in means.iter_mut().zip(squares).zip(values).zip(base) {
            let v = f64::from(v - b);
            let away = v - *mean;
            *mean += away * share;
            *squares += away * (v - *mean);
        }
    }
}
