//! Floats of eight bits: E4M3 and E5M2 (Micikevicius et al. 2022, arXiv 2209.05433), and the powers of two by which
//! blocks are scaled (OCP Microscaling Formats 1.0, E8M0).

use half::f16;

/// A number of 4 bits of exponent and 3 of mantissa. It has no infinity; all bits set is NaN.
pub(super) fn e4m3(bits: u8) -> f32 {
    let (exponent, mantissa) = (u32::from(bits >> 3 & 0xf), u32::from(bits & 7));
    let size = match (exponent, mantissa) {
        (0xf, 7) => f32::NAN,
        (0, _) => mantissa as f32 / 512.0,
        // The exponents' middles are 7 here and 127 in f32.
        _ => f32::from_bits((exponent + 120) << 23 | mantissa << 20),
    };
    if bits & 0x80 == 0 { size } else { -size }
}

/// A number of 5 bits of exponent and 2 of mantissa: the upper half of an f16.
pub(super) fn e5m2(bits: u8) -> f32 {
    f16::from_bits(u16::from(bits) << 8).to_f32()
}

/// A power of two, `2^(bits - 127)`; all bits set is NaN.
pub(super) fn e8m0(bits: u8) -> f32 {
    match bits {
        0xff => f32::NAN,
        0 => f32::from_bits(1 << 22),
        _ => f32::from_bits(u32::from(bits) << 23),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_numbers_are_those_of_the_formats() {
        // Smallest, largest subnormal, smallest normal, one, largest, by the tables of the paper and the specification.
        for (bits, value) in [
            (0, 0.0),
            (1, 1.0 / 512.0),
            (7, 7.0 / 512.0),
            (8, 1.0 / 64.0),
            (0x38, 1.0),
            (0x7e, 448.0),
            (0xfe, -448.0),
        ] {
            assert_eq!(e4m3(bits), value, "{bits:#x}");
        }
        for (bits, value) in
            [(1, 2f32.powi(-16)), (3, 3.0 * 2f32.powi(-16)), (4, 2f32.powi(-14)), (0x7b, 57344.0)]
        {
            assert_eq!(e5m2(bits), value, "{bits:#x}");
        }
        for (bits, value) in [(0, 2f32.powi(-127)), (1, 2f32.powi(-126)), (127, 1.0), (254, 2f32.powi(127))] {
            assert_eq!(e8m0(bits), value, "{bits:#x}");
        }
        assert!(e4m3(0x80).is_sign_negative() && e4m3(0x80) == 0.0);
        assert!(e4m3(0x7f).is_nan() && e4m3(0xff).is_nan() && e5m2(0x7f).is_nan() && e8m0(255).is_nan());
        assert_eq!(e5m2(0xfc), f32::NEG_INFINITY);
    }
}
