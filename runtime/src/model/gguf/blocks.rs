//! Blocks of the quantised types that candle does not read, as numbers. The formulas are those of `ggml` (ggml-quants.c) and
//! of the Python package `gguf` (quants.py), with the same operations on f32 in the same order.

use half::f16;

use super::kind::Kind;

/// The values of 4 bits in `IQ4_NL` and `IQ4_XS`.
const NONLINEAR: [i8; 16] = [-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113];
/// The values of a float of 4 bits (E2M1), doubled.
const FLOATS: [i8; 16] = [0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12];

/// The numbers of whole blocks of a type that is not candle's.
pub(super) fn dequantise(kind: Kind, bytes: &[u8]) -> Vec<f32> {
    let mut out = Vec::with_capacity(bytes.len() / kind.bytes() * kind.entries());
    for block in bytes.chunks_exact(kind.bytes()) {
        match kind {
            Kind::Candle(_) => {}
            Kind::F64 => out.extend(block.as_chunks::<8>().0.iter().map(|&b| f64::from_le_bytes(b) as f32)),
            Kind::Iq4Nl => nibbles(&NONLINEAR, half(block, 0), &block[2..], &mut out),
            Kind::Mxfp4 => nibbles(&FLOATS, half_power(block[0]), &block[1..], &mut out),
            Kind::Iq4Xs => iq4_xs(block, &mut out),
            Kind::Tq1 => tq1(block, &mut out),
            Kind::Tq2 => tq2(block, &mut out),
        }
    }
    out
}

/// The f16 at a byte of a block.
fn half(block: &[u8], at: usize) -> f32 {
    f16::from_le_bytes([block[at], block[at + 1]]).to_f32()
}

/// Half of the power of two `2^(bits - 127)`, since the values that it scales are doubled.
fn half_power(bits: u8) -> f32 {
    let bits = u32::from(bits);
    f32::from_bits(if bits < 2 { 0x0020_0000 << bits } else { (bits - 1) << 23 })
}

/// The lower halves of bytes, then the upper ones, through a table.
fn nibbles(table: &[i8; 16], scale: f32, bytes: &[u8], out: &mut Vec<f32>) {
    for shift in [0, 4] {
        out.extend(bytes.iter().map(|byte| scale * f32::from(table[usize::from(byte >> shift & 0xf)])));
    }
}

/// A scale, 6 bits for each of eight parts (2 above 4, less 32), 16 bytes for each.
fn iq4_xs(block: &[u8], out: &mut Vec<f32>) {
    let (scale, upper) = (half(block, 0), u16::from_le_bytes([block[2], block[3]]));
    let (lower, values) = block[4..].split_at(4);
    for (part, bytes) in values.chunks_exact(16).enumerate() {
        let low = lower[part / 2] >> (4 * (part % 2)) & 0xf;
        let high = (upper >> (2 * part) & 3) as u8;
        let of_part = i16::from(low | high << 4) - 32;
        nibbles(&NONLINEAR, scale * f32::from(of_part), bytes, out);
    }
}

/// A number of base 3 in each byte, as a fraction of 256, its digits from the first on: five of 32 bytes, five of 16, four
/// of 4.
fn tq1(block: &[u8], out: &mut Vec<f32>) {
    let scale = half(block, 52);
    for (bytes, digits) in [(&block[..32], 5), (&block[32..48], 5), (&block[48..52], 4)] {
        let mut power = 1u8;
        for _ in 0..digits {
            out.extend(bytes.iter().map(|byte| {
                let digit = (u16::from(byte.wrapping_mul(power)) * 3) >> 8;
                scale * f32::from(digit as i16 - 1)
            }));
            power = power.wrapping_mul(3);
        }
    }
}

/// Two bits for each, of 32 bytes the lowest first.
fn tq2(block: &[u8], out: &mut Vec<f32>) {
    let scale = half(block, 64);
    for bytes in block[..64].chunks_exact(32) {
        for shift in [0, 2, 4, 6] {
            out.extend(bytes.iter().map(|byte| scale * f32::from(i16::from(byte >> shift & 3) - 1)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Blocks of random bytes and what the package `gguf` makes of them (`tests/fixtures/gguf/make.py`).
    #[test]
    fn blocks_are_the_numbers_of_the_python_package() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/gguf/blocks.safetensors");
        let file = std::fs::read(path).expect("reads");
        let file = safetensors::SafeTensors::deserialize(&file).expect("is one");
        for (number, name) in
            [(20, "IQ4_NL"), (23, "IQ4_XS"), (28, "F64"), (34, "TQ1_0"), (35, "TQ2_0"), (39, "MXFP4")]
        {
            let kind = Kind::of(number).expect("is read");
            let [blocks, values] =
                ["blocks", "values"].map(|part| file.tensor(&format!("{name}.{part}")).expect("is there"));
            let values: Vec<u32> =
                values.data().as_chunks::<4>().0.iter().map(|&b| u32::from_le_bytes(b)).collect();
            assert!(values.len() >= 4 * kind.entries(), "{name}");
            let got: Vec<u32> = dequantise(kind, blocks.data()).into_iter().map(f32::to_bits).collect();
            assert_eq!(got, values, "{name}");
        }
    }
}
