//! The few SVG elements charts are made of.

use std::fmt::Write as _;

/// Where a text hangs from its position.
#[derive(Clone, Copy)]
pub(super) enum Anchor {
    Start,
    Middle,
    End,
}

impl Anchor {
    fn name(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Middle => "middle",
            Self::End => "end",
        }
    }
}

/// How a text looks.
#[derive(Clone, Copy)]
pub(super) struct Style<'a> {
    pub size: f64,
    pub anchor: Anchor,
    pub fill: &'a str,
    pub bold: bool,
    /// Degrees clockwise about the position.
    pub turn: f64,
}

impl Default for Style<'_> {
    fn default() -> Self {
        Self { size: 12.0, anchor: Anchor::Middle, fill: "#222", bold: false, turn: 0.0 }
    }
}

/// The shape of what stands at the points of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Marker {
    Circle,
    Square,
    Triangle,
    Diamond,
}

impl Marker {
    /// That of the line, or group of lines, at this place.
    pub(super) fn of(place: usize) -> Self {
        [Self::Circle, Self::Square, Self::Triangle, Self::Diamond][place % 4]
    }
}

/// An SVG document under construction.
pub(super) struct Svg {
    body: String,
    width: f64,
    height: f64,
}

impl Svg {
    /// An empty white sheet.
    pub(super) fn new(width: f64, height: f64) -> Self {
        let mut svg = Self { body: String::new(), width, height };
        svg.rect(0.0, 0.0, width, height, "#fff", None);
        svg
    }

    /// The heading of a sheet of this width, in smaller letters where it is long.
    pub(super) fn heading(&mut self, width: f64, title: &str) {
        let size = ((width - 24.0) / text_width(title, 1.06).max(1.0)).clamp(9.0, 16.0);
        self.text(width / 2.0, 26.0, title, Style { size, bold: true, ..Style::default() });
    }

    /// A text of one line.
    pub(super) fn text(&mut self, x: f64, y: f64, text: &str, style: Style<'_>) {
        let weight = if style.bold { " font-weight=\"bold\"" } else { "" };
        let turn = if style.turn == 0.0 {
            String::new()
        } else {
            format!(" transform=\"rotate({} {} {})\"", number(style.turn), number(x), number(y))
        };
        push(
            &mut self.body,
            format_args!(
                "<text x=\"{}\" y=\"{}\" font-size=\"{}\" text-anchor=\"{}\" fill=\"{}\"{weight}{turn}>{}</text>\n",
                number(x),
                number(y),
                number(style.size),
                style.anchor.name(),
                style.fill,
                escape(text)
            ),
        );
    }

    /// A straight line.
    pub(super) fn line(&mut self, from: (f64, f64), to: (f64, f64), stroke: &str, width: f64) {
        push(
            &mut self.body,
            format_args!(
                "<line x1=\"{}\" y1=\"{}\" x2=\"{}\" y2=\"{}\" stroke=\"{stroke}\" stroke-width=\"{}\"/>\n",
                number(from.0),
                number(from.1),
                number(to.0),
                number(to.1),
                number(width)
            ),
        );
    }

    /// A line through `points`; with one point, a dot.
    pub(super) fn path(&mut self, points: &[(f64, f64)], stroke: &str, dash: &str) {
        match points {
            [] => {}
            [(x, y)] => push(
                &mut self.body,
                format_args!(
                    "<circle cx=\"{}\" cy=\"{}\" r=\"2.5\" fill=\"{stroke}\"/>\n",
                    number(*x),
                    number(*y)
                ),
            ),
            _ => {
                let dash =
                    if dash.is_empty() { String::new() } else { format!(" stroke-dasharray=\"{dash}\"") };
                let d = points.iter().map(|(x, y)| format!("{} {}", number(*x), number(*y)));
                let d = d.collect::<Vec<_>>().join(" ");
                push(
                    &mut self.body,
                    format_args!(
                        "<polyline points=\"{d}\" fill=\"none\" stroke=\"{stroke}\" stroke-width=\"1.8\" \
                         stroke-linejoin=\"round\"{dash}/>\n"
                    ),
                );
            }
        }
    }

    /// A marker at a point of a line, edged in white so that it is seen on other lines.
    pub(super) fn marker(&mut self, (x, y): (f64, f64), marker: Marker, fill: &str) {
        let edge = "stroke=\"#fff\" stroke-width=\"1\"";
        let corners: &[(f64, f64)] = match marker {
            Marker::Circle => {
                let (x, y) = (number(x), number(y));
                push(
                    &mut self.body,
                    format_args!("<circle cx=\"{x}\" cy=\"{y}\" r=\"4\" fill=\"{fill}\" {edge}/>\n"),
                );
                return;
            }
            Marker::Square => &[(-3.5, -3.5), (3.5, -3.5), (3.5, 3.5), (-3.5, 3.5)],
            Marker::Triangle => &[(0.0, -4.8), (4.6, 3.4), (-4.6, 3.4)],
            Marker::Diamond => &[(0.0, -5.0), (5.0, 0.0), (0.0, 5.0), (-5.0, 0.0)],
        };
        let d = corners.iter().map(|(dx, dy)| format!("{} {}", number(x + dx), number(y + dy)));
        let d = d.collect::<Vec<_>>().join(" ");
        push(&mut self.body, format_args!("<polygon points=\"{d}\" fill=\"{fill}\" {edge}/>\n"));
    }

    /// A filled outline, half transparent.
    pub(super) fn area(&mut self, points: &[(f64, f64)], fill: &str) {
        let d = points
            .iter()
            .map(|(x, y)| format!("{} {}", number(*x), number(*y)))
            .collect::<Vec<_>>()
            .join(" ");
        push(
            &mut self.body,
            format_args!("<polygon points=\"{d}\" fill=\"{fill}\" fill-opacity=\"0.18\" stroke=\"none\"/>\n"),
        );
    }

    /// A filled rectangle, with an optional tooltip.
    pub(super) fn rect(&mut self, x: f64, y: f64, width: f64, height: f64, fill: &str, title: Option<&str>) {
        let place = format!(
            "x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\" fill=\"{fill}\"",
            number(x),
            number(y),
            number(width),
            number(height)
        );
        match title {
            None => push(&mut self.body, format_args!("<rect {place}/>\n")),
            Some(t) => {
                push(&mut self.body, format_args!("<rect {place}><title>{}</title></rect>\n", escape(t)))
            }
        }
    }

    /// The finished document; `title` is read out by screen readers.
    pub(super) fn finish(self, title: &str) -> String {
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{w}\" height=\"{h}\" viewBox=\"0 0 {w} {h}\" \
             font-family=\"system-ui, sans-serif\" role=\"img\">\n<title>{}</title>\n{}</svg>\n",
            escape(title),
            self.body,
            w = number(self.width),
            h = number(self.height)
        )
    }
}

fn push(body: &mut String, text: std::fmt::Arguments<'_>) {
    body.write_fmt(text).expect("writing to a String cannot fail");
}

/// A coordinate: at most two digits after the point, no trailing zeros, no negative zero.
pub(super) fn number(value: f64) -> String {
    let text = format!("{value:.2}");
    let text = text.trim_end_matches('0').trim_end_matches('.');
    if text == "-0" { "0".to_string() } else { text.to_string() }
}

/// Text made safe for an SVG element. Characters XML does not allow at all become U+FFFD.
pub(super) fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            '\n' | '\t' => out.push(' '),
            c if (c < ' ') || matches!(c, '\u{fffe}' | '\u{ffff}') => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
    out
}

/// A generous guess of the width of `text` at a font size.
pub(super) fn text_width(text: &str, size: f64) -> f64 {
    text.chars().map(|c| if c.is_ascii() { 0.58 } else { 0.9 }).sum::<f64>() * size
}

/// At most `most` characters of a text: its beginning and its end.
pub(super) fn shortened(text: &str, most: usize) -> String {
    let count = text.chars().count();
    if count <= most {
        return text.to_string();
    }
    let (head, tail) = ((most - 1) / 2, most - 1 - (most - 1) / 2);
    let first = text.chars().take(head);
    first.chain(['\u{2026}']).chain(text.chars().skip(count - tail)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_cannot_leave_its_element() {
        assert_eq!(escape("a<b>&\"c'\u{1}\n"), "a&lt;b&gt;&amp;&quot;c&#39;\u{fffd} ");
    }

    #[test]
    fn a_long_text_keeps_its_ends() {
        assert_eq!(shortened("short", 9), "short");
        assert_eq!(shortened("model.layers.10.mlp.up_proj", 11), "model\u{2026}_proj");
    }

    #[test]
    fn coordinates_are_short_and_have_one_zero() {
        assert_eq!(number(1.0), "1");
        assert_eq!(number(-0.001), "0");
        assert_eq!(number(12.346), "12.35");
        assert_eq!(number(100.0), "100");
    }
}
