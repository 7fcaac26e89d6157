//! Line charts.

use super::colour;
use super::svg::{Anchor, Style, Svg, text_width};
use super::ticks::Axis;

/// The upper and the lower end of a band at one place.
type Span = ((f64, f64), (f64, f64));

/// One named line.
#[derive(Clone, Debug, Default)]
pub struct Series {
    /// The name in the legend.
    pub name: String,
    /// Points in drawing order. One that is not finite breaks the line.
    pub points: Vec<(f64, f64)>,
    /// Half the height of a band around each point (a standard deviation); empty for none.
    pub spread: Vec<f64>,
    /// Lines of one group have one colour; by default each line is its own group.
    pub group: Option<String>,
    /// Lines of one kind have one dash; by default a line is solid.
    pub kind: Option<String>,
}

/// A chart of one or more lines.
#[derive(Clone, Debug, Default)]
pub struct LineChart {
    /// The heading.
    pub title: String,
    /// What x counts.
    pub x: String,
    /// What y measures.
    pub y: String,
    /// Whether y is drawn on a logarithmic axis; values not above 0 break the line there.
    pub log_y: bool,
    /// The lines.
    pub series: Vec<Series>,
    /// Values of x with a vertical line, and what is there.
    pub marks: Vec<(f64, String)>,
}

/// How lines look, and the samples that explain it.
struct Looks<'a> {
    /// Colour and dash of each line.
    lines: Vec<(&'static str, &'static str)>,
    /// Name, colour and dash of each sample in the legend.
    legend: Vec<(&'a str, &'static str, &'static str)>,
}

/// Most points of a line that are drawn one by one.
const MOST_POINTS: usize = 2000;

const WIDTH: f64 = 720.0;
const PLOT_HEIGHT: f64 = 320.0;
const LEGEND_ROW: f64 = 20.0;
/// The height of the names of marks.
const MARK_ROW: f64 = 14.0;
/// The length of a line in the legend.
const SAMPLE: f64 = 28.0;

impl LineChart {
    /// The chart as SVG.
    pub fn to_svg(&self) -> String {
        let looks = self.looks();
        let legend = legend_rows(&looks.legend);
        let x_axis = Axis::fitted(self.x_values(), 8, false, 0.0);
        let y_axis = Axis::fitted(self.y_values(), 6, self.log_y, 0.03);
        let widest = y_axis.ticks.iter().map(|t| text_width(&y_axis.label(*t), 11.0)).fold(0.0, f64::max);
        let above = legend.len() as f64 * LEGEND_ROW + if self.marks.is_empty() { 0.0 } else { MARK_ROW };
        let (left, right, top) = (widest + 44.0, WIDTH - 24.0, 44.0 + above);
        let bottom = top + PLOT_HEIGHT;
        let mut svg = Svg::new(WIDTH, bottom + 48.0);
        svg.heading(WIDTH, &self.title);
        for (row, samples) in legend.iter().enumerate() {
            let y = 46.0 + row as f64 * LEGEND_ROW;
            for &(i, x) in samples {
                let (name, colour, dash) = looks.legend[i];
                svg.path(&[(x, y - 4.0), (x + SAMPLE, y - 4.0)], colour, dash);
                svg.text(x + SAMPLE + 6.0, y, name, Style { anchor: Anchor::Start, ..Style::default() });
            }
        }
        let to_x = |v: f64| x_axis.place(v).map(|p| left + p * (right - left));
        let to_y = |v: f64| y_axis.place(v).map(|p| bottom - p * (bottom - top));
        for (tick, x) in x_axis.ticks.iter().filter_map(|tick| Some((tick, to_x(*tick)?))) {
            svg.line((x, top), (x, bottom), "#e4e4e4", 1.0);
            svg.text(x, bottom + 16.0, &x_axis.label(*tick), Style { size: 11.0, ..Style::default() });
        }
        for (tick, y) in y_axis.ticks.iter().filter_map(|tick| Some((tick, to_y(*tick)?))) {
            svg.line((left, y), (right, y), "#e4e4e4", 1.0);
            let style = Style { size: 11.0, anchor: Anchor::End, ..Style::default() };
            svg.text(left - 6.0, y + 4.0, &y_axis.label(*tick), style);
        }
        for (x, name) in self.marks.iter().filter_map(|(x, name)| Some((to_x(*x)?, name))) {
            svg.line((x, top), (x, bottom), "#888", 1.0);
            // To the side that has room for it.
            let fits = x + text_width(name, 11.0) < right;
            let (at, anchor) = if fits { (x - 3.0, Anchor::Start) } else { (x + 3.0, Anchor::End) };
            svg.text(at, top - 5.0, name, Style { size: 11.0, anchor, fill: "#555", ..Style::default() });
        }
        svg.line((left, bottom), (right, bottom), "#444", 1.0);
        svg.line((left, top), (left, bottom), "#444", 1.0);
        svg.text((left + right) / 2.0, bottom + 36.0, &self.x, Style::default());
        svg.text(18.0, (top + bottom) / 2.0, &self.y, Style { turn: -90.0, ..Style::default() });
        for (series, (colour, _)) in self.series.iter().zip(&looks.lines) {
            if series.spread.len() == series.points.len() && !series.points.is_empty() {
                svg.area_between(series, to_x, to_y, colour);
            }
        }
        for (series, (colour, dash)) in self.series.iter().zip(&looks.lines) {
            for run in runs(&series.points, |(x, y)| Some((to_x(x)?, to_y(y)?))) {
                svg.path(&thin(&run), colour, dash);
            }
        }
        svg.finish(&self.title)
    }

    /// A colour for each group and a dash for each kind, in the order they first occur. The legend
    /// explains the two apart where lines have kinds.
    fn looks(&self) -> Looks<'_> {
        let (mut groups, mut kinds) = (Vec::<&str>::new(), Vec::<&str>::new());
        let mut lines = Vec::with_capacity(self.series.len());
        for (i, series) in self.series.iter().enumerate() {
            let at = match &series.group {
                Some(group) => place_of(group, &mut groups),
                None => {
                    groups.push(&series.name);
                    groups.len() - 1
                }
            };
            let dash = match &series.kind {
                Some(kind) => colour::kind(place_of(kind, &mut kinds)),
                None => colour::dash(i),
            };
            lines.push((colour::line(at), dash));
        }
        let grouped = self.series.iter().any(|s| s.kind.is_some());
        let solid = |i: usize| if grouped { "" } else { colour::dash(i) };
        let mut legend: Vec<_> =
            groups.iter().enumerate().map(|(i, name)| (*name, colour::line(i), solid(i))).collect();
        legend.extend(kinds.iter().enumerate().map(|(i, name)| (*name, "#555", colour::kind(i))));
        Looks { lines, legend }
    }

    fn x_values(&self) -> impl Iterator<Item = f64> {
        let marks = self.marks.iter().map(|(x, _)| *x);
        self.series.iter().flat_map(|s| s.points.iter().map(|p| p.0)).chain(marks)
    }

    fn y_values(&self) -> impl Iterator<Item = f64> {
        self.series.iter().flat_map(|s| {
            s.points.iter().enumerate().flat_map(|(i, p)| {
                let half = s.spread.get(i).copied().filter(|h| h.is_finite()).unwrap_or(0.0);
                [p.1 - half, p.1, p.1 + half]
            })
        })
    }
}

/// Where `name` stands in `names`, to whose end it is put if it is not there.
fn place_of<'a>(name: &'a str, names: &mut Vec<&'a str>) -> usize {
    names.iter().position(|n| *n == name).unwrap_or_else(|| {
        names.push(name);
        names.len() - 1
    })
}

/// Rows of the legend: (place in `legend`, x of the sample).
fn legend_rows(legend: &[(&str, &str, &str)]) -> Vec<Vec<(usize, f64)>> {
    let mut rows: Vec<Vec<(usize, f64)>> = Vec::new();
    let mut x = f64::INFINITY;
    for (i, (name, ..)) in legend.iter().enumerate() {
        let width = text_width(name, 12.0) + SAMPLE + 26.0;
        if x + width > WIDTH - 16.0 {
            rows.push(Vec::new());
            x = 24.0;
        }
        if let Some(row) = rows.last_mut() {
            row.push((i, x));
        }
        x += width;
    }
    rows
}

impl Svg {
    fn area_between(
        &mut self,
        series: &Series,
        to_x: impl Fn(f64) -> Option<f64>,
        to_y: impl Fn(f64) -> Option<f64>,
        fill: &str,
    ) {
        let with_half: Vec<(f64, (f64, f64))> =
            series.points.iter().zip(&series.spread).map(|(p, h)| (p.0, (p.1, *h))).collect();
        let mut outline: Vec<Span> = Vec::new();
        let flush = |outline: &mut Vec<Span>, svg: &mut Self| {
            if outline.len() > 1 {
                let up = outline.iter().map(|o| o.0);
                let points: Vec<_> = up.chain(outline.iter().rev().map(|o| o.1)).collect();
                svg.area(&points, fill);
            }
            outline.clear();
        };
        for (x, (y, half)) in with_half {
            match (to_x(x), to_y(y + half), to_y(y - half)) {
                (Some(x), Some(high), Some(low)) => outline.push(((x, high), (x, low))),
                _ => flush(&mut outline, self),
            }
        }
        flush(&mut outline, self);
    }
}

/// The stretches of `points` that have a place.
fn runs(points: &[(f64, f64)], place: impl Fn((f64, f64)) -> Option<(f64, f64)>) -> Vec<Vec<(f64, f64)>> {
    let mut all = vec![Vec::new()];
    for p in points {
        match (place(*p), all.last_mut()) {
            (Some(q), Some(last)) => last.push(q),
            _ => all.push(Vec::new()),
        }
    }
    all.retain(|r| !r.is_empty());
    all
}

/// A long line with fewer points: of each stretch its lowest and its highest, in their order, so
/// that spikes stay.
fn thin(points: &[(f64, f64)]) -> Vec<(f64, f64)> {
    if points.len() <= MOST_POINTS {
        return points.to_vec();
    }
    let chunk = points.len().div_ceil(MOST_POINTS / 2);
    let mut out = Vec::with_capacity(MOST_POINTS + 2);
    for part in points.chunks(chunk) {
        let low = (0..part.len()).min_by(|a, b| part[*a].1.total_cmp(&part[*b].1)).unwrap_or(0);
        let high = (0..part.len()).max_by(|a, b| part[*a].1.total_cmp(&part[*b].1)).unwrap_or(0);
        out.push(part[low.min(high)]);
        if low != high {
            out.push(part[low.max(high)]);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chart(series: Vec<Series>) -> LineChart {
        LineChart {
            title: "t <1>".into(),
            x: "step".into(),
            y: "loss".into(),
            log_y: false,
            series,
            marks: vec![],
        }
    }

    #[test]
    fn a_chart_names_everything_and_is_the_same_every_time() {
        let points = (0..50).map(|i| (f64::from(i), 1.0 / f64::from(i + 1))).collect::<Vec<_>>();
        let spread = vec![0.05; 50];
        let c = chart(vec![
            Series { name: "A & B".into(), points: points.clone(), spread, ..Series::default() },
            Series { name: "other".into(), points, ..Series::default() },
        ]);
        let svg = c.to_svg();
        assert_eq!(svg, c.to_svg());
        for part in ["t &lt;1&gt;", "A &amp; B", "other", ">step<", ">loss<", "<polygon"] {
            assert!(svg.contains(part), "{part}");
        }
        assert_eq!(svg.matches("<polyline").count(), 4);
        assert!(!svg.contains("NaN") && !svg.contains("inf"));
    }

    #[test]
    fn what_is_not_a_number_breaks_the_line_and_a_lone_point_is_a_dot() {
        let points = vec![(0.0, 1.0), (1.0, f64::NAN), (2.0, 1.0), (3.0, 2.0)];
        let svg = chart(vec![Series { name: "s".into(), points, ..Series::default() }]).to_svg();
        assert_eq!(svg.matches("<circle").count(), 1);
        assert_eq!(svg.matches("<polyline").count(), 2);
    }

    #[test]
    fn long_lines_keep_their_spikes() {
        let mut points: Vec<(f64, f64)> = (0..100_000).map(|i| (f64::from(i), 0.0)).collect();
        points[77_777].1 = 9.0;
        let thinned = thin(&points);
        assert!(thinned.len() <= MOST_POINTS + 2);
        assert!(thinned.contains(&(77_777.0, 9.0)));
    }

    /// The colour and the dash of each line that is drawn, the samples of the legend first.
    fn drawn(svg: &str) -> Vec<(String, String)> {
        let part = |line: &str, name: &str| {
            let (_, rest) = line.split_once(&format!(" {name}=\""))?;
            Some(rest.split('"').next()?.to_string())
        };
        let lines = svg.lines().filter(|line| line.starts_with("<polyline"));
        lines
            .map(|l| (part(l, "stroke").unwrap_or_default(), part(l, "stroke-dasharray").unwrap_or_default()))
            .collect()
    }

    #[test]
    fn groups_share_a_colour_and_kinds_a_dash() {
        let one = |group: &str, kind: &str| Series {
            name: format!("{group} {kind}"),
            points: vec![(1.0, 1.0), (2.0, 2.0)],
            group: Some(group.into()),
            kind: Some(kind.into()),
            ..Series::default()
        };
        let svg =
            chart(vec![one("lotto", "A"), one("lotto", "B"), one("full", "A"), one("full", "B")]).to_svg();
        let all = drawn(&svg);
        assert_eq!(all.len(), 8, "two groups, two kinds and four lines: {svg}");
        let lines = &all[4..];
        assert!(
            lines[0].0 == lines[1].0 && lines[2].0 == lines[3].0 && lines[0].0 != lines[2].0,
            "{lines:?}"
        );
        assert!(
            lines[0].1 == lines[2].1 && lines[1].1 == lines[3].1 && lines[0].1 != lines[1].1,
            "{lines:?}"
        );
        assert_eq!([&all[0].0, &all[1].0], [&lines[0].0, &lines[2].0], "the legend's colours are the lines'");
        assert_eq!([&all[2].1, &all[3].1], [&lines[0].1, &lines[1].1], "and its dashes");
        for name in [">lotto<", ">full<", ">A<", ">B<"] {
            assert_eq!(svg.matches(name).count(), 1, "{name} stands once in the legend: {svg}");
        }
    }

    #[test]
    fn the_plot_ends_where_the_lines_do() {
        let points: Vec<(f64, f64)> = (1..=160).map(|i| (f64::from(i), 5.0 / f64::from(i))).collect();
        let svg = LineChart {
            log_y: true,
            ..chart(vec![Series { name: "s".into(), points, ..Series::default() }])
        }
        .to_svg();
        let line = svg.lines().rfind(|l| l.starts_with("<polyline")).expect("the line");
        let points = line.split('"').nth(1).expect("its points");
        let numbers: Vec<f64> = points.split(' ').filter_map(|n| n.parse().ok()).collect();
        let (first, last) = (numbers[0], numbers[numbers.len() - 2]);
        assert!(first < 90.0 && last > WIDTH - 30.0, "from {first} to {last}");
        let (high, low) = (numbers[1], numbers[numbers.len() - 1]);
        assert!(low - high > 0.9 * PLOT_HEIGHT, "from {high} to {low}");
    }

    #[test]
    fn a_mark_is_a_line_with_its_name() {
        let points = vec![(1.0, 1.0), (9.0, 2.0)];
        let plain = chart(vec![Series { name: "s".into(), points, ..Series::default() }]);
        let marked =
            LineChart { marks: vec![(4.0, "here <".into()), (f64::NAN, "nowhere".into())], ..plain.clone() };
        let (before, after) = (plain.to_svg(), marked.to_svg());
        assert_eq!(after.matches("<line").count(), before.matches("<line").count() + 1);
        assert!(after.contains(">here &lt;<") && !after.contains("nowhere"));
    }

    /// The whole text of a chart with all that one can have. Look at it before it is changed.
    #[test]
    fn a_small_chart_is_drawn_as_before() {
        let one = |group: &str, kind: &str, y: &[f64]| Series {
            name: format!("{group} {kind}"),
            points: y.iter().enumerate().map(|(i, y)| ((i + 1) as f64, *y)).collect(),
            spread: if kind == "A" { vec![0.2; y.len()] } else { vec![] },
            group: Some(group.into()),
            kind: Some(kind.into()),
        };
        let made = LineChart {
            log_y: true,
            marks: vec![(2.5, "rewind".into())],
            ..chart(vec![
                one("sparse", "A", &[4.0, 2.0, f64::NAN, 4.0, 1.0]),
                one("sparse", "B", &[5.0, 2.5, 1.2, 0.6, 0.3]),
                one("full", "B", &[5.0, 1.0, 0.4, 0.2, 0.1]),
            ])
        };
        assert_eq!(made.to_svg(), include_str!("golden/lines.svg"));
    }

    #[test]
    fn no_series_is_an_empty_chart() {
        assert!(chart(vec![]).to_svg().ends_with("</svg>\n"));
    }
}
