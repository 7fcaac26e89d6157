//! Heat maps: a matrix as coloured cells with their values.

use super::colour;
use super::svg::{Anchor, Style, Svg, number, text_width};

/// A matrix with names.
#[derive(Clone, Debug, Default)]
pub struct HeatMap {
    /// The heading.
    pub title: String,
    /// Names of the rows, top to bottom.
    pub rows: Vec<String>,
    /// Names of the columns, left to right.
    pub columns: Vec<String>,
    /// One row of values for each row name. A value that is not finite is an empty cell.
    pub values: Vec<Vec<f64>>,
    /// The values of the lightest and the darkest colour; by default the least and the greatest.
    pub range: Option<(f64, f64)>,
}

impl HeatMap {
    /// The heat map as SVG.
    pub fn to_svg(&self) -> String {
        let count = self.values.iter().map(Vec::len).max().unwrap_or(0).max(self.columns.len());
        let names = self.rows.iter().map(|n| text_width(n, 12.0)).fold(0.0, f64::max);
        let heads = self.columns.iter().map(|n| text_width(n, 12.0)).fold(0.0, f64::max);
        let cell_width = (600.0 / count.max(1) as f64).clamp(18.0, 84.0);
        let cell_height = cell_width.min(44.0);
        let turned = heads > cell_width - 4.0;
        let (left, top) = (names + 20.0, 48.0 + if turned { heads * 0.72 + 12.0 } else { 20.0 });
        let grid = (cell_width * count as f64, cell_height * self.values.len() as f64);
        let overhang = if turned { heads * 0.72 } else { 0.0 };
        let width = (left + grid.0 + 16.0 + overhang).max(text_width(&self.title, 16.0) + 40.0);
        let mut svg = Svg::new(width, top + grid.1 + 46.0);
        svg.text(width / 2.0, 26.0, &self.title, Style { size: 16.0, bold: true, ..Style::default() });
        let (low, high) = self.range.unwrap_or_else(|| self.extent());
        let places = self.places();
        let share = |v: f64| if high > low { (v - low) / (high - low) } else { 0.5 };
        for (c, name) in self.columns.iter().enumerate() {
            let x = left + (c as f64 + 0.5) * cell_width;
            let style = if turned {
                Style { anchor: Anchor::Start, turn: -45.0, ..Style::default() }
            } else {
                Style::default()
            };
            svg.text(x, top - 6.0, name, style);
        }
        for (r, row) in self.values.iter().enumerate() {
            let y = top + r as f64 * cell_height;
            let name = self.rows.get(r).map_or("", String::as_str);
            let style = Style { anchor: Anchor::End, ..Style::default() };
            svg.text(left - 8.0, y + cell_height / 2.0 + 4.0, name, style);
            for (c, value) in row.iter().enumerate() {
                let x = left + c as f64 * cell_width;
                let column = self.columns.get(c).map_or("", String::as_str);
                if !value.is_finite() {
                    svg.rect(
                        x,
                        y,
                        cell_width - 1.0,
                        cell_height - 1.0,
                        "#eee",
                        Some(&format!("{name}, {column}: none")),
                    );
                    continue;
                }
                let (fill, ink) = colour::cell(share(*value));
                let text = aligned(*value, places);
                svg.rect(
                    x,
                    y,
                    cell_width - 1.0,
                    cell_height - 1.0,
                    &fill,
                    Some(&format!("{name}, {column}: {text}")),
                );
                let size = (cell_width / (text.chars().count() as f64 * 0.62)).min(12.0);
                if size >= 6.0 {
                    let style = Style { size, fill: ink, ..Style::default() };
                    svg.text(x + cell_width / 2.0, y + cell_height / 2.0 + size * 0.35, &text, style);
                }
            }
        }
        self.scale(&mut svg, (left, top + grid.1 + 14.0), grid.0.max(120.0), (low, high));
        svg.finish(&self.title)
    }

    /// The colour scale below the cells.
    fn scale(&self, svg: &mut Svg, (x, y): (f64, f64), width: f64, (low, high): (f64, f64)) {
        let width = width.min(240.0);
        let steps = 24;
        for i in 0..steps {
            let (fill, _) = colour::cell(f64::from(i) / f64::from(steps - 1));
            let step = width / f64::from(steps);
            svg.rect(x + f64::from(i) * step, y, step + 0.5, 10.0, &fill, None);
        }
        let size = 11.0;
        svg.text(x, y + 23.0, &short(low), Style { size, anchor: Anchor::Start, ..Style::default() });
        svg.text(x + width, y + 23.0, &short(high), Style { size, anchor: Anchor::End, ..Style::default() });
    }

    /// The most decimal places that a cell needs.
    fn places(&self) -> usize {
        let needed = |v: &f64| short(*v).split_once('.').map_or(0, |(_, tail)| tail.len());
        let shown = self.values.iter().flatten().filter(|v| v.is_finite() && !short(**v).contains('e'));
        shown.map(needed).max().unwrap_or(0)
    }

    fn extent(&self) -> (f64, f64) {
        let finite = || self.values.iter().flatten().copied().filter(|v| v.is_finite());
        let (low, high) =
            (finite().fold(f64::INFINITY, f64::min), finite().fold(f64::NEG_INFINITY, f64::max));
        if low <= high { (low, high) } else { (0.0, 1.0) }
    }
}

/// A value in few characters.
fn short(value: f64) -> String {
    let size = value.abs();
    if size != 0.0 && !(1e-3..1e5).contains(&size) {
        return format!("{value:.1e}");
    }
    if size >= 1000.0 { number(value.round()) } else { trim(&format!("{value:.3}")) }
}

/// The same with as many decimal places as the cells beside it, so that columns can be compared;
/// whole numbers stay as they are.
fn aligned(value: f64, places: usize) -> String {
    let text = short(value);
    match text.split_once('.') {
        Some((_, tail)) if !tail.contains('e') => format!("{value:.places$}"),
        _ => text,
    }
}

fn trim(text: &str) -> String {
    let text = text.trim_end_matches('0').trim_end_matches('.');
    if text == "-0" { "0".to_string() } else { text.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_show_their_values_and_names() {
        let map = HeatMap {
            title: "overlap".into(),
            rows: vec!["a<b".into(), "second".into()],
            columns: vec!["a<b".into(), "second".into()],
            values: vec![vec![1.0, 0.125], vec![0.125, f64::NAN]],
            range: None,
        };
        let svg = map.to_svg();
        assert_eq!(svg, map.to_svg());
        assert!(svg.matches(">0.125<").count() >= 2, "{svg}");
        assert!(svg.contains("a&lt;b, second: 0.125") && svg.contains(": none"));
        assert!(!svg.contains("NaN"));
    }

    #[test]
    fn nothing_constants_and_ragged_rows_do_not_break_it() {
        assert!(HeatMap::default().to_svg().ends_with("</svg>\n"));
        let values = vec![vec![2.0, 2.0], vec![2.0]];
        let svg = HeatMap { title: "c".into(), values, ..HeatMap::default() }.to_svg();
        assert!(!svg.contains("NaN") && !svg.contains("inf"));
    }

    #[test]
    fn cells_of_one_map_have_the_same_decimal_places() {
        let values = vec![vec![0.06, 0.125, 0.0, 1.0]];
        let svg = HeatMap { values, ..HeatMap::default() }.to_svg();
        for text in [">0.060<", ">0.125<", ">0<", ">1<"] {
            assert!(svg.contains(text), "{text}: {svg}");
        }
    }

    #[test]
    fn values_are_short() {
        assert_eq!(
            [0.0, 1.0, 0.5, 12345.6, 1e-9, -0.0004].map(short),
            ["0", "1", "0.5", "12346", "1.0e-9", "-4.0e-4"]
        );
    }
}
