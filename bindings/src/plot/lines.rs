//! Line charts.

use super::colour;
use super::svg::{Anchor, Marker, Style, Svg, text_width};
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
    /// Whether each point has a marker, of a shape for each group.
    pub markers: bool,
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
    /// Whether x is drawn on a logarithmic axis; values not above 0 break the line there.
    pub log_x: bool,
    /// The same of y.
    pub log_y: bool,
    /// The lines.
    pub series: Vec<Series>,
    /// Values of x with a vertical line, and what is there.
    pub marks: Vec<(f64, String)>,
    /// Groups in the order of their colours, whether they have a line or not. Others follow in the order they first occur.
    pub groups: Vec<String>,
}

/// How lines look, and the samples that explain it.
struct Looks<'a> {
    /// Colour and dash of each line.
    lines: Vec<(&'static str, &'static str)>,
    /// The shape of the markers of each line; `None` for a line without.
    markers: Vec<Option<Marker>>,
    /// Each sample in the legend.
    legend: Vec<Sample<'a>>,
}

/// One sample of the legend.
struct Sample<'a> {
    name: &'a str,
    colour: &'static str,
    dash: &'static str,
    marker: Option<Marker>,
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
        // A marker at the edge would hang over it.
        let room = if self.log_x || self.series.iter().any(|s| s.markers) { 0.02 } else { 0.0 };
        let x_axis = Axis::fitted(self.x_values(), 8, self.log_x, room);
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
                let Sample { name, colour, dash, marker } = looks.legend[i];
                svg.path(&[(x, y - 4.0), (x + SAMPLE, y - 4.0)], colour, dash);
                if let Some(marker) = marker {
                    svg.marker((x + SAMPLE / 2.0, y - 4.0), marker, colour);
                }
                svg.text(x + SAMPLE + 6.0, y, name, Style { anchor: Anchor::Start, ..Style::default() });
            }
        }
        let to_x = |v: f64| x_axis.place(v).map(|p| left + p * (right - left));
        let to_y = |v: f64| y_axis.place(v).map(|p| bottom - p * (bottom - top));
        for x in x_axis.minor.iter().filter_map(|tick| to_x(*tick)) {
            svg.line((x, top), (x, bottom), "#f4f4f4", 1.0);
        }
        for y in y_axis.minor.iter().filter_map(|tick| to_y(*tick)) {
            svg.line((left, y), (right, y), "#f4f4f4", 1.0);
        }
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
                // What of a band has no place on a logarithmic axis, or lies far below the lines, ends at its edge.
                let to_edge = |v: f64| match to_y(v) {
                    Some(y) => Some(y.clamp(top, bottom)),
                    None if self.log_y && v.is_finite() => Some(bottom),
                    None => None,
                };
                svg.area_between(series, to_x, to_edge, colour);
            }
        }
        for ((series, (colour, dash)), marker) in self.series.iter().zip(&looks.lines).zip(&looks.markers) {
            for run in runs(&series.points, |(x, y)| Some((to_x(x)?, to_y(y)?))) {
                let run = thin(&run);
                match marker {
                    Some(_) if run.len() == 1 => {}
                    _ => svg.path(&run, colour, dash),
                }
                if let Some(marker) = marker {
                    run.iter().for_each(|point| svg.marker(*point, *marker, colour));
                }
            }
        }
        svg.finish(&self.title)
    }

    /// A colour for each group and a dash for each kind, in the order they are named or first occur. The legend
    /// explains the two apart where lines have kinds, and leaves out groups without a line.
    fn looks(&self) -> Looks<'_> {
        let mut groups: Vec<&str> = self.groups.iter().map(String::as_str).collect();
        let (mut kinds, mut drawn) = (Vec::<&str>::new(), Vec::<usize>::new());
        let mut lines = Vec::with_capacity(self.series.len());
        let mut markers = Vec::with_capacity(self.series.len());
        for (i, series) in self.series.iter().enumerate() {
            let at = match &series.group {
                Some(group) => place_of(group, &mut groups),
                None => {
                    groups.push(&series.name);
                    groups.len() - 1
                }
            };
            drawn.push(at);
            let dash = match &series.kind {
                Some(kind) => colour::kind(place_of(kind, &mut kinds)),
                None => colour::dash(i),
            };
            lines.push((colour::line(at), dash));
            markers.push(series.markers.then(|| Marker::of(at)));
        }
        let grouped = self.series.iter().any(|s| s.kind.is_some());
        let solid = |i: usize| if grouped { "" } else { colour::dash(i) };
        let named = groups.iter().enumerate().filter(|(i, _)| drawn.contains(i));
        let marked = |i: usize| drawn.iter().zip(&markers).any(|(at, marker)| *at == i && marker.is_some());
        let mut legend: Vec<_> = named
            .map(|(i, name)| Sample {
                name,
                colour: colour::line(i),
                dash: solid(i),
                marker: marked(i).then(|| Marker::of(i)),
            })
            .collect();
        legend.extend(kinds.iter().enumerate().map(|(i, name)| Sample {
            name,
            colour: "#555",
            dash: colour::kind(i),
            marker: None,
        }));
        Looks { lines, markers, legend }
    }

    fn x_values(&self) -> impl Iterator<Item = f64> {
        let marks = self.marks.iter().map(|(x, _)| *x);
        self.series.iter().flat_map(|s| s.points.iter().map(|p| p.0)).chain(marks)
    }

    fn y_values(&self) -> impl Iterator<Item = f64> {
        self.series.iter().flat_map(|s| {
            s.points.iter().enumerate().flat_map(|(i, p)| {
                let half = s.spread.get(i).copied().filter(|h| h.is_finite()).unwrap_or(0.0);
                // A band that nearly reaches 0 has no end on a logarithmic axis.
                let low = if self.log_y { (p.1 - half).max(p.1 / 10.0) } else { p.1 - half };
                [low, p.1, p.1 + half]
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
fn legend_rows(legend: &[Sample<'_>]) -> Vec<Vec<(usize, f64)>> {
    let mut rows: Vec<Vec<(usize, f64)>> = Vec::new();
    let mut x = f64::INFINITY;
    for (i, sample) in legend.iter().enumerate() {
        let width = text_width(sample.name, 12.0) + SAMPLE + 26.0;
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
            series,
            ..LineChart::default()
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
    fn a_group_has_the_same_colour_in_every_chart_that_names_the_groups() {
        let one = |group: &str| Series {
            name: group.into(),
            points: vec![(1.0, 1.0), (2.0, 2.0)],
            group: Some(group.into()),
            ..Series::default()
        };
        let groups: Vec<String> = ["lotto", "full", "random"].map(String::from).into();
        let colour = |series: Vec<Series>, name: &str| {
            let at = series.iter().position(|s| s.name == name).expect("it is drawn");
            let svg = LineChart { groups: groups.clone(), ..chart(series.clone()) }.to_svg();
            assert_eq!(drawn(&svg).len(), 2 * series.len(), "the legend has what is drawn alone: {svg}");
            drawn(&svg)[series.len() + at].0.clone()
        };
        let all = || vec![one("random"), one("full"), one("lotto")];
        assert_eq!(colour(all(), "full"), colour(vec![one("full")], "full"));
        assert_eq!(colour(all(), "random"), colour(vec![one("random"), one("lotto")], "random"));
        assert_ne!(colour(all(), "full"), colour(all(), "random"));
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
            markers: false,
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
    fn markers_stand_at_each_point_and_in_the_legend() {
        let one = |name: &str, markers: bool| Series {
            name: name.into(),
            points: vec![(1.0, 1.0), (2.0, f64::NAN), (3.0, 2.0), (4.0, 3.0)],
            markers,
            ..Series::default()
        };
        let shapes =
            |svg: &str, of: &str| svg.lines().filter(|l| l.starts_with(of) && l.contains("#fff")).count();
        let svg = chart(vec![one("a", true), one("b", true), one("c", false)]).to_svg();
        assert_eq!(shapes(&svg, "<circle"), 4, "three points and a sample of a: {svg}");
        assert_eq!(shapes(&svg, "<polygon"), 4, "three points and a sample of b: {svg}");
        assert_eq!(shapes(&chart(vec![one("a", false)]).to_svg(), "<circle"), 0);
    }

    #[test]
    fn a_logarithmic_x_axis_has_powers_of_ten_at_equal_distances() {
        let points = vec![(1e-5, 1.0), (1e-3, 2.0), (1e-1, 3.0)];
        let svg = LineChart {
            log_x: true,
            ..chart(vec![Series { name: "s".into(), points, ..Series::default() }])
        }
        .to_svg();
        for label in [">1e-5<", ">1e-4<", ">1e-3<", ">1e-2<", ">0.1<"] {
            assert!(svg.contains(label), "{label}: {svg}");
        }
        let line = svg.lines().rfind(|l| l.starts_with("<polyline")).expect("the line");
        let points = line.split('"').nth(1).expect("its points");
        let x: Vec<f64> = points.split(' ').step_by(2).filter_map(|n| n.parse().ok()).collect();
        assert!((x[1] - x[0] - (x[2] - x[1])).abs() < 0.1, "{x:?}");
    }

    #[test]
    fn a_band_that_reaches_zero_ends_at_the_edge_of_a_logarithmic_axis() {
        let one = Series {
            name: "s".into(),
            points: vec![(1.0, 1.0), (2.0, 2.0)],
            spread: vec![1.0, 1.999_999],
            ..Series::default()
        };
        let svg = LineChart { log_y: true, ..chart(vec![one]) }.to_svg();
        assert!(svg.contains("<polygon") && svg.contains(">0.1<") && !svg.contains(">0.01<"), "{svg}");
    }

    #[test]
    fn no_series_is_an_empty_chart() {
        assert!(chart(vec![]).to_svg().ends_with("</svg>\n"));
    }
}
