//! Colours that stay apart with any common colour blindness.

/// The Okabe-Ito palette, its yellow darkened to be seen on white.
const LINES: [&str; 8] =
    ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#000000", "#b8a800"];

/// The dashes of lines after each full turn through the palette.
const DASHES: [&str; 4] = ["", "7 3", "2 3", "9 3 2 3"];

/// The dashes of kinds of lines: apart from each other at a glance.
const KINDS: [&str; 5] = ["", "8 4", "2 4", "12 4 2 4", "1 2"];

type Rgb = (f64, f64, f64);

/// Stops of a light-to-dark blue-green scale whose lightness falls evenly.
const SEQUENTIAL: [Rgb; 5] = [
    (255.0, 255.0, 240.0),
    (199.0, 225.0, 196.0),
    (115.0, 179.0, 186.0),
    (49.0, 111.0, 156.0),
    (17.0, 41.0, 90.0),
];

/// Stops from blue over white to red (ColorBrewer's RdBu, turned), as dark at one end as at the other.
const DIVERGING: [Rgb; 9] = [
    (5.0, 48.0, 97.0),
    (33.0, 102.0, 172.0),
    (67.0, 147.0, 195.0),
    (146.0, 197.0, 222.0),
    (247.0, 247.0, 247.0),
    (244.0, 165.0, 130.0),
    (214.0, 96.0, 77.0),
    (178.0, 24.0, 43.0),
    (103.0, 0.0, 31.0),
];

/// Colours for the values of a matrix.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Palette {
    /// From light to dark: how much.
    Sequential,
    /// From blue over white to red: how much, to which side of the middle.
    Diverging,
}

/// The colour of line `i`.
pub(super) fn line(i: usize) -> &'static str {
    LINES[i % LINES.len()]
}

/// The dash pattern of line `i`; empty for a solid one.
pub(super) fn dash(i: usize) -> &'static str {
    DASHES[(i / LINES.len()) % DASHES.len()]
}

/// The dash pattern of kind `i` of lines; empty for the first, which is solid.
pub(super) fn kind(i: usize) -> &'static str {
    KINDS[i % KINDS.len()]
}

impl Palette {
    /// The fill for `share` in 0..=1, and the text colour of the two that is read better on it.
    pub(super) fn cell(self, share: f64) -> (String, &'static str) {
        let stops: &[Rgb] = match self {
            Self::Sequential => &SEQUENTIAL,
            Self::Diverging => &DIVERGING,
        };
        let place = share.clamp(0.0, 1.0) * (stops.len() - 1) as f64;
        let low = (place.floor() as usize).min(stops.len() - 2);
        let (a, b, t) = (stops[low], stops[low + 1], place - low as f64);
        let mix = |x: f64, y: f64| (x + (y - x) * t).round();
        let fill = (mix(a.0, b.0), mix(a.1, b.1), mix(a.2, b.2));
        let light = luminance(fill);
        let ink = if contrast(light, 0.0) >= contrast(light, 1.0) { "#000" } else { "#fff" };
        (format!("#{:02x}{:02x}{:02x}", fill.0 as u8, fill.1 as u8, fill.2 as u8), ink)
    }
}

/// How bright a colour is to the eye, from 0 to 1 (WCAG 2).
fn luminance((r, g, b): Rgb) -> f64 {
    let linear = |c: f64| {
        let c = c / 255.0;
        if c <= 0.04045 { c / 12.92 } else { ((c + 0.055) / 1.055).powf(2.4) }
    };
    0.2126 * linear(r) + 0.7152 * linear(g) + 0.0722 * linear(b)
}

/// The contrast of two luminances, from 1 to 21 (WCAG 2; 4.5 is easily read).
fn contrast(a: f64, b: f64) -> f64 {
    (a.max(b) + 0.05) / (a.min(b) + 0.05)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_in_a_cell_of_any_colour_can_be_read() {
        for palette in [Palette::Sequential, Palette::Diverging] {
            for i in 0..=200 {
                let (fill, ink) = palette.cell(f64::from(i) / 200.0);
                let byte = |at: usize| f64::from(u8::from_str_radix(&fill[at..at + 2], 16).expect("hex"));
                let fill = luminance((byte(1), byte(3), byte(5)));
                let found = contrast(fill, if ink == "#fff" { 1.0 } else { 0.0 });
                assert!(found >= 4.5, "{palette:?} at {i}: {found}");
            }
        }
    }

    #[test]
    fn the_diverging_palette_is_lightest_in_its_middle_and_as_dark_at_either_end() {
        let light = |share: f64| {
            let (fill, _) = Palette::Diverging.cell(share);
            let byte = |at: usize| f64::from(u8::from_str_radix(&fill[at..at + 2], 16).expect("hex"));
            luminance((byte(1), byte(3), byte(5)))
        };
        assert!(light(0.5) > 0.9);
        for i in 0..50 {
            let (near, far) = (f64::from(i + 1) / 100.0, f64::from(i) / 100.0);
            assert!(light(near) > light(far) && light(1.0 - near) > light(1.0 - far), "{i}");
            assert!((light(far) - light(1.0 - far)).abs() < 0.16, "{i}");
        }
    }
}
