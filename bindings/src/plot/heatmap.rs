//! Heat maps: a matrix as coloured cells with their values.

use super::colour::Palette;
use super::svg::{Anchor, Style, Svg, number, shortened, text_width};
use super::ticks::Axis;

/// A matrix with names.
///
/// Values of both signs are drawn from blue over white to red, white being zero; others from light to dark.
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
    /// The values of the first and the last colour; by default the least and the greatest value. Where they are of
    /// both signs, the colours go as far to the other side of zero as to the further end.
    pub range: Option<(f64, f64)>,
}

/// The width that all cells together have, where their number permits it.
const GRID: f64 = 660.0;
/// The most characters of a name; the whole name is in the tooltips of its cells.
const NAME: usize = 40;
/// The distance between names that do not touch.
const APART: f64 = 14.0;
/// The length of the colour bar.
const BAR: f64 = 280.0;
/// The colour of a cell without a value.
const NONE: &str = "#d9d9d9";

/// Sizes of the parts of a map.
struct Layout {
    cell: (f64, f64),
    left: f64,
    top: f64,
    /// Columns are named at an angle.
    turned: bool,
    /// Only each so many a row and column is named.
    every: (usize, usize),
    columns: usize,
}

/// What colours mean.
struct Scale {
    palette: Palette,
    low: f64,
    high: f64,
}

impl Scale {
    fn share(&self, value: f64) -> f64 {
        if self.high > self.low { (value - self.low) / (self.high - self.low) } else { 0.5 }
    }
}

impl HeatMap {
    /// The heat map as SVG.
    pub fn to_svg(&self) -> String {
        let (layout, scale) = (self.layout(), self.scale());
        let (cell, left, top) = (layout.cell, layout.left, layout.top);
        let grid = (cell.0 * layout.columns as f64, cell.1 * self.values.len() as f64);
        let overhang = if layout.turned { (self.heads() * 0.72 - cell.0 / 2.0).max(0.0) } else { 0.0 };
        let width = left + grid.0.max(BAR) + 16.0 + overhang;
        let width = width.max((text_width(&self.title, 16.0) + 40.0).min(GRID));
        let mut svg = Svg::new(width, top + grid.1 + 54.0);
        svg.heading(width, &self.title);
        self.names(&mut svg, &layout);
        self.cells(&mut svg, &layout, &scale);
        self.bar(&mut svg, (left, top + grid.1 + 16.0), &scale);
        svg.finish(&self.title)
    }

    fn layout(&self) -> Layout {
        let columns = self.values.iter().map(Vec::len).max().unwrap_or(0).max(self.columns.len());
        let widest = widest(&self.rows);
        let heads = self.heads();
        let width = (GRID / columns.max(1) as f64).clamp(6.0, 84.0);
        let height = width.min(44.0);
        let turned = heads > width - 4.0;
        let every = |size: f64| (APART / size).ceil().max(1.0) as usize;
        Layout {
            cell: (width, height),
            left: widest + 20.0,
            top: 48.0 + if turned { heads * 0.72 + 12.0 } else { 20.0 },
            turned,
            every: (every(height), every(width)),
            columns,
        }
    }

    /// The length of the longest name of a column.
    fn heads(&self) -> f64 {
        widest(&self.columns)
    }

    fn scale(&self) -> Scale {
        let (low, high) = self.range.unwrap_or_else(|| self.extent());
        if low < 0.0 && high > 0.0 {
            let far = high.max(-low);
            return Scale { palette: Palette::Diverging, low: -far, high: far };
        }
        Scale { palette: Palette::Sequential, low, high }
    }

    fn names(&self, svg: &mut Svg, layout: &Layout) {
        let (cell, left, top) = (layout.cell, layout.left, layout.top);
        for (c, name) in self.columns.iter().enumerate().step_by(layout.every.1) {
            let style = if layout.turned {
                Style { anchor: Anchor::Start, turn: -45.0, ..Style::default() }
            } else {
                Style::default()
            };
            svg.text(left + (c as f64 + 0.5) * cell.0, top - 6.0, &shortened(name, NAME), style);
        }
        for (r, name) in self.rows.iter().enumerate().step_by(layout.every.0) {
            let style = Style { anchor: Anchor::End, ..Style::default() };
            let y = top + (r as f64 + 0.5) * cell.1 + 4.0;
            svg.text(left - 8.0, y, &shortened(name, NAME), style);
        }
    }

    fn cells(&self, svg: &mut Svg, layout: &Layout, scale: &Scale) {
        let (cell, places) = (layout.cell, self.places());
        // A gap that leaves small cells their colour.
        let gap = if cell.0 >= 14.0 { 1.0 } else { 0.0 };
        let finite = self.values.iter().flatten().filter(|v| v.is_finite());
        let longest = finite.map(|v| aligned(*v, places).chars().count()).max().unwrap_or(1);
        let size = (cell.0 / (longest as f64 * 0.62)).min(cell.1 * 0.6).min(12.0);
        for (r, row) in self.values.iter().enumerate() {
            let y = layout.top + r as f64 * cell.1;
            let name = self.rows.get(r).map_or("", String::as_str);
            for (c, value) in row.iter().enumerate() {
                let x = layout.left + c as f64 * cell.0;
                let column = self.columns.get(c).map_or("", String::as_str);
                let (fill, ink, text) = if value.is_finite() {
                    let (fill, ink) = scale.palette.cell(scale.share(*value));
                    (fill, ink, aligned(*value, places))
                } else {
                    (NONE.to_string(), "#000", "none".to_string())
                };
                let about = format!("{name}, {column}: {text}");
                svg.rect(x, y, cell.0 - gap, cell.1 - gap, &fill, Some(&about));
                if size >= 7.0 && value.is_finite() {
                    let style = Style { size, fill: ink, ..Style::default() };
                    svg.text(x + cell.0 / 2.0, y + cell.1 / 2.0 + size * 0.35, &text, style);
                }
            }
        }
    }

    /// The colours and their values below the cells.
    fn bar(&self, svg: &mut Svg, (x, y): (f64, f64), scale: &Scale) {
        let steps = 48;
        let step = BAR / f64::from(steps);
        for i in 0..steps {
            let (fill, _) = scale.palette.cell((f64::from(i) + 0.5) / f64::from(steps));
            svg.rect(x + f64::from(i) * step, y, step + 0.3, 10.0, &fill, None);
        }
        let size = 11.0;
        let beyond = |far: fn(&f64, &f64) -> bool, end: f64| {
            self.values.iter().flatten().any(|v| v.is_finite() && far(v, &end))
        };
        let below = if beyond(|v, end| v < end, scale.low) { "\u{2264} " } else { "" };
        let above = if beyond(|v, end| v > end, scale.high) { "\u{2265} " } else { "" };
        let (first, last) = (format!("{below}{}", short(scale.low)), format!("{above}{}", short(scale.high)));
        let taken = (text_width(&first, size) + 8.0, BAR - text_width(&last, size) - 8.0);
        if scale.high > scale.low {
            let axis = Axis::fitted([scale.low, scale.high].into_iter(), 4, false, 0.0);
            for tick in axis.ticks.iter().copied() {
                let (at, label) = (BAR * scale.share(tick), axis.label(tick));
                let half = text_width(&label, size) / 2.0;
                // The ends are written in full, so only what lies between them has room.
                if at - half > taken.0 && at + half < taken.1 {
                    svg.line((x + at, y + 10.0), (x + at, y + 13.0), "#444", 1.0);
                    svg.text(x + at, y + 24.0, &label, Style { size, ..Style::default() });
                }
            }
        }
        let at = |anchor| Style { size, anchor, ..Style::default() };
        svg.text(x, y + 24.0, &first, at(Anchor::Start));
        svg.text(x + BAR, y + 24.0, &last, at(Anchor::End));
        if self.values.iter().flatten().any(|v| !v.is_finite()) {
            svg.rect(x + BAR + 20.0, y, 10.0, 10.0, NONE, None);
            svg.text(x + BAR + 36.0, y + 9.0, "none", at(Anchor::Start));
        }
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

/// The length of the longest of these names, as far as they are written.
fn widest(names: &[String]) -> f64 {
    names.iter().map(|n| text_width(&shortened(n, NAME), 12.0)).fold(0.0, f64::max)
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

    /// Positions and texts of the map's texts with this anchor.
    fn texts(svg: &str, anchor: &str) -> Vec<(f64, f64, String)> {
        let wanted = format!("text-anchor=\"{anchor}\"");
        let part = |line: &str, name: &str| -> f64 {
            let rest = line.split_once(&format!(" {name}=\"")).expect("a text has a place").1;
            rest.split('"').next().and_then(|n| n.parse().ok()).expect("a number")
        };
        let lines = svg.lines().filter(|line| line.starts_with("<text") && line.contains(&wanted));
        let text =
            |line: &str| line.split('>').nth(1).and_then(|t| t.split('<').next()).unwrap_or("").to_string();
        lines.map(|line| (part(line, "x"), part(line, "y"), text(line))).collect()
    }

    fn square(n: usize, value: impl Fn(usize, usize) -> f64) -> HeatMap {
        let names: Vec<String> = (0..n).map(|i| format!("layer {i}")).collect();
        let values = (0..n).map(|r| (0..n).map(|c| value(r, c)).collect()).collect();
        HeatMap { rows: names.clone(), columns: names, values, ..HeatMap::default() }
    }

    #[test]
    fn zero_is_white_where_values_have_both_signs() {
        let svg = HeatMap { values: vec![vec![-0.5, 0.0, 2.0]], ..HeatMap::default() }.to_svg();
        let fill = |value: &str| {
            let line = svg.lines().find(|l| l.contains(&format!(", : {value}<"))).expect("the cell");
            line.split("fill=\"").nth(1).and_then(|f| f.split('"').next()).expect("its fill").to_string()
        };
        assert_eq!(fill("0"), "#f7f7f7");
        assert_eq!(fill("2"), "#67001f");
        assert_eq!(fill("-0.5"), Palette::Diverging.cell(0.375).0, "a quarter of the way to the other side");
        assert!(svg.contains(">-2<") && svg.contains(">2<"), "the bar's ends: {svg}");
        let all_negative = HeatMap { values: vec![vec![-3.0, -1.0]], ..HeatMap::default() }.to_svg();
        assert!(!all_negative.contains("#f7f7f7"));
    }

    #[test]
    fn names_of_thirty_and_of_two_hundred_do_not_touch() {
        for n in [30, 200] {
            let svg = square(n, |r, c| r as f64 - c as f64).to_svg();
            let rows: Vec<f64> =
                texts(&svg, "end").iter().filter(|t| t.2.starts_with("layer")).map(|t| t.1).collect();
            let heads: Vec<f64> =
                texts(&svg, "start").iter().filter(|t| t.2.starts_with("layer")).map(|t| t.0).collect();
            assert!(rows.len() >= 15 && heads.len() >= 15, "{n}: {} and {}", rows.len(), heads.len());
            for places in [rows, heads] {
                assert!(places.windows(2).all(|w| w[1] - w[0] >= 13.9), "{n}: {places:?}");
            }
            let inside =
                texts(&svg, "middle").iter().filter(|t| t.2.parse::<f64>().is_ok() && t.1 < 600.0).count();
            assert!(inside == 0 || n == 30, "{n}: {inside} numbers in cells too small for them");
        }
    }

    #[test]
    fn values_beyond_the_range_and_missing_ones_are_told_by_the_bar() {
        let map =
            HeatMap { values: vec![vec![0.2, 3.0, f64::NAN]], range: Some((0.5, 1.0)), ..HeatMap::default() };
        let svg = map.to_svg();
        for part in ["\u{2264} 0.5<", "\u{2265} 1<", ">none<"] {
            assert!(svg.contains(part), "{part}: {svg}");
        }
    }

    /// The whole text of a map with all that one can have. Look at it before it is changed.
    #[test]
    fn a_small_map_is_drawn_as_before() {
        let map = HeatMap {
            title: "cosine".into(),
            ..square(3, |r, c| if r == c { 1.0 } else { r as f64 / 4.0 - 0.3 })
        };
        let mut map = HeatMap {
            columns: vec!["a".into(), "a long name".into(), "a name that has no room at all".into()],
            ..map
        };
        map.values[2][0] = f64::NAN;
        assert_eq!(map.to_svg(), include_str!("golden/heatmap.svg"));
    }

    #[test]
    fn values_are_short() {
        assert_eq!(
            [0.0, 1.0, 0.5, 12345.6, 1e-9, -0.0004].map(short),
            ["0", "1", "0.5", "12346", "1.0e-9", "-4.0e-4"]
        );
    }
}
