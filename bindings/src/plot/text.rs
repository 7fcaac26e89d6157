//! Charts for a terminal, in characters: lines as dots of Braille patterns, and bars.

use super::lines::LineChart;
use super::ticks::Axis;

/// Marks of lines, where there are several: dots do not show which line they belong to.
const MARKS: [char; 8] = ['a', 'b', 'c', 'd', 'e', 'f', 'g', 'h'];
/// A point of the only line, where it has markers.
const POINT: char = 'o';
/// Two lines at one place.
const BOTH: char = '*';
/// Points of two lines at one place.
const BOTH_POINTS: char = '#';
/// Eighths of a block.
const BLOCKS: [&str; 8] =
    ["", "\u{258f}", "\u{258e}", "\u{258d}", "\u{258c}", "\u{258b}", "\u{258a}", "\u{2589}"];

/// The lines of a chart over `width` columns and `height` rows, the axes included. Its title, its marks and the names of its
/// axes are left out. The points of lines with markers are circles, or the capital letters of their lines.
pub fn lines(chart: &LineChart, width: usize, height: usize) -> String {
    let series = &chart.series;
    let points = || series.iter().flat_map(|s| s.points.iter().copied());
    let rows = height.max(4) - 1;
    let y = Axis::over(points().map(|p| p.1), 4, chart.log_y);
    let labels: Vec<(usize, String)> =
        y.ticks.iter().filter_map(|tick| Some((row(y.place(*tick)?, rows), y.label(*tick)))).collect();
    let margin = labels.iter().map(|(_, text)| text.len()).max().unwrap_or(0);
    let columns = width.saturating_sub(margin + 2).max(8);
    let has_place = |x: f64| x.is_finite() && (!chart.log_x || x > 0.0);
    let (low, high) = points()
        .filter(|p| has_place(p.0))
        .fold((f64::INFINITY, f64::NEG_INFINITY), |(a, b), p| (a.min(p.0), b.max(p.0)));
    let scaled = |x: f64| if chart.log_x { x.log10() } else { x };
    let across = |x: f64| match high > low {
        true => (scaled(x) - scaled(low)) / (scaled(high) - scaled(low)),
        false => 0.5,
    };
    let mut canvas = Canvas::new(columns, rows);
    for (i, one) in series.iter().enumerate() {
        let mark = (series.len() > 1).then(|| MARKS[i % MARKS.len()]);
        let mut before = None;
        for (px, py) in &one.points {
            let place = y.place(*py).filter(|_| has_place(*px)).map(|v| (across(*px), 1.0 - v));
            if let Some(place) = place {
                canvas.line(before.unwrap_or(place), place, mark);
            }
            before = place;
        }
    }
    // Over all lines, so that none hides a point.
    for (i, one) in series.iter().enumerate().filter(|(_, one)| one.markers) {
        let mark = if series.len() > 1 { MARKS[i % MARKS.len()].to_ascii_uppercase() } else { POINT };
        for (px, py) in one.points.iter().filter(|p| has_place(p.0)) {
            if let Some(v) = y.place(*py) {
                canvas.point((across(*px), 1.0 - v), mark);
            }
        }
    }
    let mut out = String::new();
    for r in 0..rows {
        let label = labels.iter().find(|(at, _)| *at == r);
        let (text, tick) = label.map_or(("", '\u{2502}'), |(_, text)| (text.as_str(), '\u{2524}'));
        out += format!("{text:>margin$} {tick}{}", canvas.row(r)).trim_end();
        out.push('\n');
    }
    let end =
        |x: f64| if (1e-3..1e5).contains(&x.abs()) || x == 0.0 { format!("{x}") } else { format!("{x:e}") };
    let (first, last) = if low <= high { (end(low), end(high)) } else { Default::default() };
    let gap = columns.saturating_sub(last.len());
    out += format!("{:margin$}  {first:<gap$}{last}", "").trim_end();
    out.push('\n');
    if series.len() > 1 {
        let names = series.iter().enumerate().map(|(i, s)| format!("{} {}", MARKS[i % MARKS.len()], s.name));
        out += &format!("{:margin$}  {}\n", "", names.collect::<Vec<_>>().join(", "));
    }
    out
}

/// A bar for each name, over `width` columns. The longest is that of the largest size.
pub fn bars(rows: &[(String, f64)], width: usize) -> String {
    let values: Vec<String> = rows.iter().map(|(_, v)| format!("{v:.4}")).collect();
    let names = rows.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0);
    let digits = values.iter().map(String::len).max().unwrap_or(0);
    let room = width.saturating_sub(names + digits + 4).max(8);
    let most = rows.iter().map(|(_, v)| v.abs()).filter(|v| v.is_finite()).fold(0.0, f64::max);
    let bar = |value: f64| {
        let part = if most > 0.0 && value.is_finite() { value.abs() / most } else { 0.0 };
        let eighths = (part * room as f64 * 8.0).round() as usize;
        "\u{2588}".repeat(eighths / 8) + BLOCKS[eighths % 8]
    };
    let line = |((name, value), text): (&(String, f64), &String)| {
        format!("{name:<names$}  {text:>digits$}  {}", bar(*value)).trim_end().to_string() + "\n"
    };
    rows.iter().zip(&values).map(line).collect()
}

/// The row of a place that counts from the bottom.
fn row(place: f64, rows: usize) -> usize {
    (((1.0 - place) * (rows - 1) as f64).round() as usize).min(rows - 1)
}

/// Cells of 2 by 4 dots, or of marks.
struct Canvas {
    columns: usize,
    rows: usize,
    dots: Vec<u8>,
    marks: Vec<Option<char>>,
}

impl Canvas {
    fn new(columns: usize, rows: usize) -> Self {
        Self { columns, rows, dots: vec![0; columns * rows], marks: vec![None; columns * rows] }
    }

    /// A line between two places; 0 is left or top, 1 right or bottom.
    fn line(&mut self, from: (f64, f64), to: (f64, f64), mark: Option<char>) {
        let (width, height) = ((self.columns * 2 - 1) as f64, (self.rows * 4 - 1) as f64);
        let (x0, y0, x1, y1) = (from.0 * width, from.1 * height, to.0 * width, to.1 * height);
        let steps = (x1 - x0).abs().max((y1 - y0).abs()).ceil().max(1.0);
        for i in 0..=steps as usize {
            let t = i as f64 / steps;
            let x = (x0 + (x1 - x0) * t).round().clamp(0.0, width) as usize;
            let y = (y0 + (y1 - y0) * t).round().clamp(0.0, height) as usize;
            self.set(x, y, mark);
        }
    }

    /// A mark at a place, over what lines left there; two different points become one that says so.
    fn point(&mut self, at: (f64, f64), mark: char) {
        let (width, height) = ((self.columns * 2 - 1) as f64, (self.rows * 4 - 1) as f64);
        let x = (at.0 * width).round().clamp(0.0, width) as usize;
        let y = (at.1 * height).round().clamp(0.0, height) as usize;
        let cell = &mut self.marks[y / 4 * self.columns + x / 2];
        let taken = cell.is_some_and(|old| old != mark && (old.is_ascii_uppercase() || old == BOTH_POINTS));
        *cell = Some(if taken { BOTH_POINTS } else { mark });
    }

    fn set(&mut self, x: usize, y: usize, mark: Option<char>) {
        // The bits of a Braille pattern, by row and column of its dots.
        const BITS: [[u8; 2]; 4] = [[0x01, 0x08], [0x02, 0x10], [0x04, 0x20], [0x40, 0x80]];
        let cell = y / 4 * self.columns + x / 2;
        self.dots[cell] |= BITS[y % 4][x % 2];
        if let Some(mark) = mark {
            let old = self.marks[cell].get_or_insert(mark);
            if *old != mark {
                *old = BOTH;
            }
        }
    }

    fn row(&self, row: usize) -> String {
        let cells = row * self.columns..(row + 1) * self.columns;
        cells
            .map(|i| match (self.marks[i], self.dots[i]) {
                (Some(mark), _) => mark,
                (None, 0) => ' ',
                (None, dots) => char::from_u32(0x2800 + u32::from(dots)).unwrap_or(' '),
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plot::Series;

    /// As `super::lines`, of lines alone.
    fn lines(series: &[Series], width: usize, height: usize) -> String {
        super::lines(&LineChart { series: series.to_vec(), ..LineChart::default() }, width, height)
    }

    fn series(name: &str, values: &[f64]) -> Series {
        let points = values.iter().enumerate().map(|(i, y)| ((i + 1) as f64, *y)).collect();
        Series { name: name.into(), points, ..Series::default() }
    }

    #[test]
    fn a_line_goes_from_corner_to_corner() {
        let want = "\
            1.00 ┤           ⢀⠔⠊\n\
            0.75 ┤        ⢀⠤⠊⠁\n\
            0.50 ┤     ⢀⡠⠊⠁\n\
            0.25 ┤  ⢀⡠⠒⠁\n\
            0.00 ┤⡠⠔⠁\n      1            2\n";
        assert_eq!(lines(&[series("", &[0.0, 1.0])], 20, 6), want);
    }

    #[test]
    fn several_lines_have_letters_and_a_legend() {
        let want = "\
            1.00 ┤bbb        aaa\n\
            0.75 ┤  bbbb  aaaa\n\
            0.50 ┤     ****\n\
            0.25 ┤  aaaa  bbbb\n\
            0.00 ┤aaa        bbb\n      1            2\n      a up, b down\n";
        assert_eq!(lines(&[series("up", &[0.0, 1.0]), series("down", &[1.0, 0.0])], 20, 6), want);
    }

    #[test]
    fn what_has_no_place_is_a_gap() {
        let gap = lines(&[series("", &[1.0, f64::NAN, 1.0])], 20, 6);
        let dots: Vec<char> = gap.chars().filter(|c| ('\u{2801}'..='\u{28ff}').contains(c)).collect();
        assert_eq!(dots.len(), 2, "{gap}");
        assert!(lines(&[series("", &[])], 20, 6).lines().count() > 4);
    }

    #[test]
    fn markers_and_logarithmic_axes() {
        let points = vec![(1.0, 1.0), (10.0, 10.0), (100.0, 100.0)];
        let one = Series { points, markers: true, ..Series::default() };
        let chart = LineChart { log_x: true, log_y: true, series: vec![one.clone()], ..LineChart::default() };
        let got = super::lines(&chart, 20, 6);
        let marked: Vec<(usize, usize)> = got
            .lines()
            .enumerate()
            .flat_map(|(row, line)| line.chars().enumerate().filter(|c| c.1 == 'o').map(move |c| (row, c.0)))
            .collect();
        // Equal distances, as powers of ten have them.
        assert_eq!(marked.len(), 3, "{got}");
        assert!(marked[1].0 - marked[0].0 == marked[2].0 - marked[1].0, "{got}");
        assert!(marked[0].1.abs_diff(marked[1].1).abs_diff(marked[1].1.abs_diff(marked[2].1)) <= 1, "{got}");
        let two = LineChart { series: vec![one.clone(), Series { markers: false, ..one }], ..chart };
        assert_eq!(super::lines(&two, 20, 6).matches('A').count(), 3);
    }

    #[test]
    fn bars_are_as_long_as_the_values_are_large() {
        let rows = [("a".to_string(), 1.0), ("bc".to_string(), 0.5), ("none".to_string(), 0.0)];
        let want = "a     1.0000  ████████████\nbc    0.5000  ██████\nnone  0.0000\n";
        assert_eq!(bars(&rows, 26), want);
    }
}
