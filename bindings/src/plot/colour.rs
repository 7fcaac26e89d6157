//! Colours that stay apart with any common colour blindness.

/// The Okabe-Ito palette, its yellow darkened to be seen on white.
const LINES: [&str; 8] =
    ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#000000", "#b8a800"];

/// The dashes of lines after each full turn through the palette.
const DASHES: [&str; 4] = ["", "7 3", "2 3", "9 3 2 3"];

/// Stops of a light-to-dark blue-green scale whose lightness falls evenly.
const SCALE: [(f64, f64, f64); 5] = [
    (255.0, 255.0, 240.0),
    (199.0, 225.0, 196.0),
    (115.0, 179.0, 186.0),
    (49.0, 111.0, 156.0),
    (17.0, 41.0, 90.0),
];

/// The colour of line `i`.
pub(super) fn line(i: usize) -> &'static str {
    LINES[i % LINES.len()]
}

/// The dash pattern of line `i`; empty for a solid one.
pub(super) fn dash(i: usize) -> &'static str {
    DASHES[(i / LINES.len()) % DASHES.len()]
}

/// The fill for `share` in 0..=1, and a text colour that can be read on it.
pub(super) fn cell(share: f64) -> (String, &'static str) {
    let place = share.clamp(0.0, 1.0) * (SCALE.len() - 1) as f64;
    let low = (place.floor() as usize).min(SCALE.len() - 2);
    let (a, b, t) = (SCALE[low], SCALE[low + 1], place - low as f64);
    let mix = |x: f64, y: f64| (x + (y - x) * t).round();
    let (r, g, blue) = (mix(a.0, b.0), mix(a.1, b.1), mix(a.2, b.2));
    let light = 0.299 * r + 0.587 * g + 0.114 * blue;
    (
        format!("#{:02x}{:02x}{:02x}", r as u8, g as u8, blue as u8),
        if light > 140.0 { "#111" } else { "#fff" },
    )
}
