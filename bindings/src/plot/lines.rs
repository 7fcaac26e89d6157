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
}

/// Most points of a line that are drawn one by one.
const MOST_POINTS: usize = 2000;

const WIDTH: f64 = 720.0;
const PLOT_HEIGHT: f64 = 320.0;
const LEGEND_ROW: f64 = 20.0;

impl LineChart {
    /// The chart as SVG.
    pub fn to_svg(&self) -> String {
        let legend = self.legend_rows();
        let x_axis = Axis::over(self.series.iter().flat_map(|s| s.points.iter().map(|p| p.0)), 8, false);
        let y_axis = Axis::over(self.y_values(), 6, self.log_y);
        let widest = y_axis.ticks.iter().map(|t| text_width(&y_axis.label(*t), 11.0)).fold(0.0, f64::max);
        let (left, right, top) = (widest + 44.0, WIDTH - 24.0, 44.0 + legend.len() as f64 * LEGEND_ROW);
        let bottom = top + PLOT_HEIGHT;
        let mut svg = Svg::new(WIDTH, bottom + 48.0);
        svg.text(WIDTH / 2.0, 26.0, &self.title, Style { size: 16.0, bold: true, ..Style::default() });
        for (row, items) in legend.iter().enumerate() {
            let y = 46.0 + row as f64 * LEGEND_ROW;
            for &(i, x) in items {
                svg.path(&[(x, y - 4.0), (x + 22.0, y - 4.0)], colour::line(i), colour::dash(i));
                let style = Style { anchor: Anchor::Start, ..Style::default() };
                svg.text(x + 28.0, y, &self.series[i].name, style);
            }
        }
        let to_x = |v: f64| x_axis.place(v).map(|p| left + p * (right - left));
        let to_y = |v: f64| y_axis.place(v).map(|p| bottom - p * (bottom - top));
        for tick in &x_axis.ticks {
            let x = left + x_axis.place(*tick).unwrap_or(0.0) * (right - left);
            svg.line((x, top), (x, bottom), "#e4e4e4", 1.0);
            svg.text(x, bottom + 16.0, &x_axis.label(*tick), Style { size: 11.0, ..Style::default() });
        }
        for tick in &y_axis.ticks {
            let y = bottom - y_axis.place(*tick).unwrap_or(0.0) * (bottom - top);
            svg.line((left, y), (right, y), "#e4e4e4", 1.0);
            let style = Style { size: 11.0, anchor: Anchor::End, ..Style::default() };
            svg.text(left - 6.0, y + 4.0, &y_axis.label(*tick), style);
        }
        svg.line((left, bottom), (right, bottom), "#444", 1.0);
        svg.line((left, top), (left, bottom), "#444", 1.0);
        svg.text((left + right) / 2.0, bottom + 36.0, &self.x, Style::default());
        svg.text(18.0, (top + bottom) / 2.0, &self.y, Style { turn: -90.0, ..Style::default() });
        for (i, series) in self.series.iter().enumerate() {
            if series.spread.len() == series.points.len() && !series.points.is_empty() {
                svg.area_between(series, to_x, to_y, colour::line(i));
            }
        }
        for (i, series) in self.series.iter().enumerate() {
            for run in runs(&series.points, |(x, y)| Some((to_x(x)?, to_y(y)?))) {
                svg.path(&thin(&run), colour::line(i), colour::dash(i));
            }
        }
        svg.finish(&self.title)
    }

    fn y_values(&self) -> impl Iterator<Item = f64> {
        self.series.iter().flat_map(|s| {
            s.points.iter().enumerate().flat_map(|(i, p)| {
                let half = s.spread.get(i).copied().filter(|h| h.is_finite()).unwrap_or(0.0);
                [p.1 - half, p.1, p.1 + half]
            })
        })
    }

    /// Rows of the legend: (series, x of its sample).
    fn legend_rows(&self) -> Vec<Vec<(usize, f64)>> {
        let mut rows: Vec<Vec<(usize, f64)>> = Vec::new();
        let mut x = f64::INFINITY;
        for (i, series) in self.series.iter().enumerate() {
            let width = text_width(&series.name, 12.0) + 48.0;
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
        LineChart { title: "t <1>".into(), x: "step".into(), y: "loss".into(), log_y: false, series }
    }

    #[test]
    fn a_chart_names_everything_and_is_the_same_every_time() {
        let points = (0..50).map(|i| (f64::from(i), 1.0 / f64::from(i + 1))).collect::<Vec<_>>();
        let spread = vec![0.05; 50];
        let c = chart(vec![
            Series { name: "A & B".into(), points: points.clone(), spread },
            Series { name: "other".into(), points, spread: vec![] },
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
        let svg = chart(vec![Series { name: "s".into(), points, spread: vec![] }]).to_svg();
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

    #[test]
    fn no_series_is_an_empty_chart() {
        assert!(chart(vec![]).to_svg().ends_with("</svg>\n"));
    }
}
