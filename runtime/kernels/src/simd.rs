//! Code compiled for several instruction sets and chosen when it runs, and the arithmetic it shares.

/// How the instruction set computes a product plus a sum.
pub trait Isa {
    /// `a · b + c`, in one rounding where the machine can.
    fn madd(a: f32, b: f32, c: f32) -> f32;
}

/// Any machine.
pub struct Plain;
/// A machine with fused multiply-add.
pub struct Fused;

impl Isa for Plain {
    #[inline(always)]
    fn madd(a: f32, b: f32, c: f32) -> f32 {
        a * b + c
    }
}

impl Isa for Fused {
    #[inline(always)]
    fn madd(a: f32, b: f32, c: f32) -> f32 {
        a.mul_add(b, c)
    }
}

/// Defines a function whose body is compiled for AVX-512, for AVX2 with FMA and for the baseline, and chosen at
/// each call. The body may use its type parameter's [`Isa::madd`].
#[macro_export]
macro_rules! multiversion {
    ($(#[$meta:meta])* $vis:vis fn $name:ident<$isa:ident $(, const $n:ident: $nt:ty)*>($($arg:ident: $ty:ty),* $(,)?)
     $(-> $ret:ty)? $body:block) => {
        $(#[$meta])*
        #[allow(clippy::too_many_arguments)]
        $vis fn $name<$(const $n: $nt),*>($($arg: $ty),*) $(-> $ret)? {
            #[inline(always)]
            #[allow(clippy::extra_unused_type_parameters)]
            fn body<$isa: $crate::simd::Isa $(, const $n: $nt)*>($($arg: $ty),*) $(-> $ret)? $body

            #[cfg(target_arch = "x86_64")]
            {
                #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma")]
                fn wide<$(const $n: $nt),*>($($arg: $ty),*) $(-> $ret)? {
                    body::<$crate::simd::Fused $(, $n)*>($($arg),*)
                }
                #[target_feature(enable = "avx2,fma")]
                fn middle<$(const $n: $nt),*>($($arg: $ty),*) $(-> $ret)? {
                    body::<$crate::simd::Fused $(, $n)*>($($arg),*)
                }
                if $crate::simd::has_avx512() {
                    // SAFETY: the processor was just asked for these features.
                    return unsafe { wide::<$($n),*>($($arg),*) };
                }
                if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
                    // SAFETY: the processor was just asked for these features.
                    return unsafe { middle::<$($n),*>($($arg),*) };
                }
            }
            #[cfg(target_arch = "aarch64")]
            return body::<$crate::simd::Fused $(, $n)*>($($arg),*);
            #[cfg(not(target_arch = "aarch64"))]
            body::<$crate::simd::Plain $(, $n)*>($($arg),*)
        }
    };
}
pub use crate::multiversion;

/// One of the two bf16 around `x`, the nearer the likelier: the value at `place` of a parameter is rounded up in magnitude
/// if its discarded bits exceed a threshold that is drawn, once and for all, from the place. A value that is a bf16 stays
/// what it is.
///
/// Steps much smaller than the distance between two bf16 never move the nearest one. Under these thresholds they move a
/// fraction of the entries, so that over many of them the rounded weights follow the exact ones; as stochastic rounding
/// does (arXiv 1502.02551), but the same for the same values wherever and whenever it is done.
#[inline(always)]
pub fn dither_bf16(x: f32, place: u32) -> half::bf16 {
    let bits = x.to_bits();
    // The low-bias mixer of 32 bits by C. Wellons (hash prospector).
    let mut hash = place ^ (place >> 16);
    hash = hash.wrapping_mul(0x7feb_352d);
    hash ^= hash >> 15;
    hash = hash.wrapping_mul(0x846c_a68b);
    let chosen = bits.wrapping_add(hash >> 16) >> 16;
    let quiet = bits >> 16 | 0x40;
    half::bf16::from_bits(if x.is_nan() { quiet } else { chosen } as u16)
}

multiversion! {
    /// bf16 to f32.
    pub(crate) fn widen<I>(from: &[half::bf16], to: &mut [f32]) {
        for (to, from) in to.iter_mut().zip(from) {
            *to = f32::from_bits(u32::from(from.to_bits()) << 16);
        }
    }
}

/// Whether the AVX-512 subsets that the kernels use are there.
#[cfg(target_arch = "x86_64")]
#[inline]
pub fn has_avx512() -> bool {
    is_x86_feature_detected!("avx512f")
        && is_x86_feature_detected!("avx512bw")
        && is_x86_feature_detected!("avx512dq")
        && is_x86_feature_detected!("avx512vl")
        && is_x86_feature_detected!("avx2")
        && is_x86_feature_detected!("fma")
}

/// `e^x` to about one unit in the last place, in operations that vectorise. Below -87.3 it stays at 1.2e-38.
#[inline(always)]
pub(crate) fn exp<I: Isa>(x: f32) -> f32 {
    const MAGIC: f32 = 12_582_912.0; // 1.5 · 2^23: adding it leaves the rounded integer in the low bits
    let x = x.clamp(-87.3, 88.3);
    let shifted = I::madd(x, std::f32::consts::LOG2_E, MAGIC);
    let n = shifted - MAGIC;
    let r = I::madd(n, -0.693_359_4, x);
    let r = I::madd(n, 2.121_944_4e-4, r);
    let p = I::madd(r, 1.987_569_1e-4, 1.398_199_9e-3);
    let p = I::madd(p, r, 8.333_452e-3);
    let p = I::madd(p, r, 4.166_579_6e-2);
    let p = I::madd(p, r, 1.666_666_5e-1);
    let p = I::madd(p, r, 0.5);
    let p = I::madd(p * r, r, r) + 1.0;
    let power = shifted.to_bits().wrapping_sub(MAGIC.to_bits()).wrapping_shl(23);
    f32::from_bits(p.to_bits().wrapping_add(power))
}

/// `tanh(x)`.
#[inline(always)]
pub(crate) fn tanh<I: Isa>(x: f32) -> f32 {
    let e = exp::<I>(-2.0 * x.abs());
    // Near zero the quotient cancels: there its series is exact enough.
    let square = x * x;
    let small = x * I::madd(square, I::madd(square, 0.133_333_33, -0.333_333_34), 1.0);
    let large = ((1.0 - e) / (1.0 + e)).copysign(x);
    if square < 4e-3 { small } else { large }
}

/// `Σ a · b`, in 32 partial sums.
#[inline(always)]
pub(crate) fn dot<I: Isa>(a: &[f32], b: &[f32]) -> f32 {
    let mut sums = [0.0f32; 32];
    let (ac, bc) = (a.chunks_exact(32), b.chunks_exact(32));
    let tail: f32 = ac.remainder().iter().zip(bc.remainder()).map(|(a, b)| a * b).sum();
    for (a, b) in ac.zip(bc) {
        for i in 0..32 {
            sums[i] = I::madd(a[i], b[i], sums[i]);
        }
    }
    fold(sums) + tail
}

/// The sum of 32 partial sums.
#[inline(always)]
pub(crate) fn fold(sums: [f32; 32]) -> f32 {
    let mut half = [0.0f32; 16];
    for i in 0..16 {
        half[i] = sums[i] + sums[i + 16];
    }
    let mut quarter = [0.0f32; 8];
    for i in 0..8 {
        quarter[i] = half[i] + half[i + 8];
    }
    (quarter[0] + quarter[4])
        + (quarter[1] + quarter[5])
        + ((quarter[2] + quarter[6]) + (quarter[3] + quarter[7]))
}

/// The logistic function.
#[inline(always)]
pub(crate) fn sigmoid<I: Isa>(x: f32) -> f32 {
    1.0 / (1.0 + exp::<I>(-x))
}

/// The error function, to 1.5e-7 (Abramowitz and Stegun 7.1.26).
#[inline(always)]
pub(crate) fn erf<I: Isa>(x: f32) -> f32 {
    let a = x.abs();
    let t = 1.0 / I::madd(a, 0.327_591_1, 1.0);
    let p = I::madd(t, 1.061_405_4, -1.453_152_1);
    let p = I::madd(p, t, 1.421_413_8);
    let p = I::madd(p, t, -0.284_496_72);
    let p = I::madd(p, t, 0.254_829_6);
    (1.0 - p * t * exp::<I>(-a * a)).copysign(x)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dithered_values_follow_the_exact_ones() {
        use half::bf16;
        for high in 0..1u32 << 16 {
            let exact = f32::from_bits(high << 16);
            let found = dither_bf16(exact, high.wrapping_mul(0x9e37_79b9));
            let same = found.to_bits() == bf16::from_f32(exact).to_bits();
            assert!(same || exact.is_nan() && found.is_nan(), "{exact:?} is a bf16 and became {found:?}");
        }
        assert!(dither_bf16(f32::from_bits(0x7f80_0001), 0).is_nan());
        for x in [0.13f32, -1.7, 3e-20] {
            let (low, high) = (
                f32::from_bits(x.to_bits() >> 16 << 16),
                f32::from_bits((x.to_bits() >> 16 << 16) + 0x1_0000),
            );
            for share in [0.03f32, 0.25, 0.5, 0.9] {
                let value = low + (high - low) * share;
                let places = 1 << 16;
                let sum: f64 = (0..places).map(|place| dither_bf16(value, place).to_f64()).sum();
                let error =
                    (sum / f64::from(places) - f64::from(value)).abs() / f64::from((high - low).abs());
                assert!(error < 0.01, "{value}: off by {error} of a step");
            }
        }
    }

    #[test]
    fn functions_are_close_to_the_standard_library() {
        for i in -8000..8000 {
            let x = i as f32 * 0.01;
            let y = f64::from(x);
            assert!((f64::from(exp::<Fused>(x)) / y.exp() - 1.0).abs() < 2e-7, "exp({x})");
            assert!((f64::from(tanh::<Plain>(x)) - y.tanh()).abs() < 2e-7, "tanh({x})");
            let logistic = 1.0 / (1.0 + (-y).exp());
            assert!((f64::from(sigmoid::<Plain>(x)) - logistic).abs() < 2e-7, "sigmoid({x})");
        }
        assert!(exp::<Plain>(f32::NAN).is_nan());
        for (x, y) in
            [(0.0f32, 0.0f64), (0.5, 0.520_499_877_8), (-1.0, -0.842_700_792_9), (3.0, 0.999_977_909_5)]
        {
            assert!((f64::from(erf::<Fused>(x)) - y).abs() < 3e-7, "erf({x})");
        }
    }
}
