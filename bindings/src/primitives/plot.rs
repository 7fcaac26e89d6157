//! `plot.*`: charts as SVG.

use std::io::Write as _;

use lota_script::{Args, Ctx, Error, FromValue, Map, Mismatch, Primitive, Registry, Result, Value};

use crate::plot::{HeatMap, LARGEST, LineChart, Series, text};

pub(super) fn register(r: &mut Registry) {
    r.area("plot", "Charts as SVG.");
    r.add(
        Primitive::new("plot.lines", "A line chart.")
            .details(
                "Each series is `{name =, y = {...}}`, with `x = {...}` where x is not 1, 2, 3..., and `spread = \
                 {...}` for a band of that half height. Series with the same `group` have one colour, series with the \
                 same `kind` one dash, and `markers = true` shows the points of one series. A value that is not a number \
                 breaks the line; one that is not above 0 is an error where its axis is logarithmic. A plain map `name = \
                 {y values}` works too.",
            )
            .arg("series", "list of map|map", "the lines")
            .opt("title", "string", "", "the heading")
            .opt("x", "string", "", "what x counts")
            .opt("y", "string", "", "what y measures")
            .opt("log_x", "boolean", false, "a logarithmic x axis")
            .opt("log_y", "boolean", false, "a logarithmic y axis")
            .opt("log", "boolean", false, "the same as log_y")
            .opt("markers", "boolean", false, "show the points of every series that does not say otherwise")
            .opt("columns", "integer", (), "draw in characters, over so many columns, instead of as SVG")
            .opt("marks", "list of map", (), "vertical lines, each {x =, name =}")
            .opt("groups", "list of string", (), "groups in the order of their colours, for several charts that show the same ones")
            .opt("path", "string", (), "a file to write the chart to")
            .returns("string", "the SVG text, or the chart in characters")
            .example("local svg = lota.plot.lines({loss = {3, 2, 1.5}}, {title = 'Loss', x = 'step'})\nassert(svg:find('<svg', 1, true))\n\
                      local rates = {{name = 'score', x = {1e-5, 1e-4, 1e-3}, y = {0.2, 0.6, 0.5}}}\n\
                      svg = lota.plot.lines(rates, {log_x = true, markers = true})\nassert(svg:find('1e-5', 1, true))")
            .call(lines),
    );
    r.add(
        Primitive::new("plot.heatmap", "A heat map: a matrix as coloured cells with their values.")
            .details(
                "Values of both signs are drawn from blue over white (zero) to red, others from light to dark. Names that \
                 would touch are left out, and values that do not fit into their cells; the tooltip of a cell has both.",
            )
            .arg("matrix", "list of list of number", "the rows; a value that is not a number is an empty cell")
            .opt("labels", "list of string", (), "the names of both rows and columns")
            .opt("rows", "list of string", (), "the names of the rows")
            .opt("columns", "list of string", (), "the names of the columns")
            .opt("title", "string", "", "the heading")
            .opt("low", "number", (), "the value of the first colour; the least by default")
            .opt("high", "number", (), "the value of the last colour; the greatest by default")
            .opt("path", "string", (), "a file to write the SVG to")
            .returns("string", "the SVG text")
            .example("local svg = lota.plot.heatmap({{1, 0.1}, {0.1, 1}}, {labels = {'a', 'b'}, title = 'Overlap'})\nassert(svg:find('0.1', 1, true))")
            .call(heatmap),
    );
}

/// The rows of a chart in characters, and the least of its columns.
const ROWS: usize = 16;
const NARROWEST: usize = 20;
const WIDEST: usize = 1000;

fn lines(_: &Ctx, args: &mut Args) -> Result<String> {
    let markers: bool = args.get("markers")?;
    let columns: Option<usize> = args.opt("columns")?;
    if columns.is_some_and(|columns| !(NARROWEST..=WIDEST).contains(&columns)) {
        return Err(args.wrong("columns", format!("must be {NARROWEST} to {WIDEST}")));
    }
    let series = match args.get::<Value>("series")? {
        Value::List(items) => {
            let read = items.into_iter().enumerate().map(|(i, item)| {
                series(item, i, markers).map_err(|m| args.mismatched("series", &m.inside(&format!("[{i}]"))))
            });
            read.collect::<Result<Vec<_>>>()?
        }
        Value::Map(map) => {
            let read = map.into_iter().map(|(name, values)| {
                let y = Vec::<f64>::from_value(values)
                    .map_err(|m| args.mismatched("series", &m.inside(&format!(".{name}"))))?;
                Ok(Series { name, points: numbered(y), markers, ..Series::default() })
            });
            read.collect::<Result<Vec<_>>>()?
        }
        other => {
            return Err(args.wrong("series", format!("must be a list or a map, got {}", other.describe())));
        }
    };
    let (log_y, log): (bool, bool) = (args.get("log_y")?, args.get("log")?);
    let chart = LineChart {
        title: args.get("title")?,
        x: args.get("x")?,
        y: args.get("y")?,
        log_x: args.get("log_x")?,
        log_y: log_y || log,
        series,
        marks: marks(args)?,
        groups: args.opt("groups")?.unwrap_or_default(),
    };
    if let Some(what) = without_a_place(&chart) {
        return Err(args.wrong("series", what));
    }
    let drawn = match columns {
        Some(columns) => text::lines(&chart, columns, ROWS),
        None => chart.to_svg(),
    };
    write(args, drawn)
}

/// The first value that an axis has no place for, in words. What is not a number is a gap that is meant.
fn without_a_place(chart: &LineChart) -> Option<String> {
    let too_large = |series: &Series| {
        let spread = series.spread.iter().map(|half| ("spread", *half));
        let points = series.points.iter().flat_map(|(x, y)| [("x", *x), ("y", *y)]);
        points.chain(spread).find(|(_, value)| is_too_large(*value))
    };
    if let Some((what, value, name)) =
        chart.series.iter().find_map(|series| too_large(series).map(|(what, v)| (what, v, &series.name)))
    {
        return Some(format!("holds {value:e} as {what} of '{name}': {BEYOND}"));
    }
    let wrong = |log: bool, value: f64| log && value < LARGEST.recip();
    chart.series.iter().find_map(|series| {
        series.points.iter().enumerate().find_map(|(i, (x, y))| {
            let (axis, value) = match (wrong(chart.log_x, *x), wrong(chart.log_y, *y)) {
                (true, _) => ("x", x),
                (_, true) => ("y", y),
                _ => return None,
            };
            Some(format!(
                "has no place on the logarithmic {axis} axis for point {} of '{}', whose {axis} is {value:?}: values must \
                 be above 0, and at least 1e-300; leave the point out, or turn log_{axis} off",
                i + 1,
                series.name,
            ))
        })
    })
}

const BEYOND: &str = "a chart has places from -1e300 to 1e300";

/// Whether a number is one, and too large for a chart.
fn is_too_large(value: f64) -> bool {
    value.is_finite() && value.abs() > LARGEST
}

fn marks(args: &mut Args) -> Result<Vec<(f64, String)>> {
    let given: Vec<Value> = args.opt("marks")?.unwrap_or_default();
    let read = given
        .into_iter()
        .enumerate()
        .map(|(i, value)| mark(value).map_err(|m| args.mismatched("marks", &m.inside(&format!("[{i}]")))));
    let marks: Vec<(f64, String)> = read.collect::<Result<_>>()?;
    match marks.iter().find(|(x, _)| is_too_large(*x)) {
        Some((x, name)) => Err(args.wrong("marks", format!("holds {x:e} as x of '{name}': {BEYOND}"))),
        None => Ok(marks),
    }
}

fn mark(value: Value) -> Result<(f64, String), Mismatch> {
    let mut map = Map::from_value(value)?;
    let x = f64::from_value(map.take("x").unwrap_or_default()).map_err(|m| m.inside(".x"))?;
    let name = Option::<String>::from_value(map.take("name").unwrap_or_default());
    let name = name.map_err(|m| m.inside(".name"))?.unwrap_or_default();
    nothing_else(&map, "map of x and name")?;
    Ok((x, name))
}

/// A field that was not asked for is a mistake.
fn nothing_else(map: &Map, expected: &str) -> Result<(), Mismatch> {
    match map.iter().next() {
        None => Ok(()),
        Some((unknown, _)) => Err(Mismatch {
            expected: expected.into(),
            given: format!("a field '{unknown}'"),
            at: String::new(),
        }),
    }
}

fn numbered(y: Vec<f64>) -> Vec<(f64, f64)> {
    y.into_iter().enumerate().map(|(i, y)| ((i + 1) as f64, y)).collect()
}

fn series(value: Value, index: usize, markers: bool) -> Result<Series, Mismatch> {
    let mut map = Map::from_value(value)?;
    let mut field = |name: &str| map.take(name).unwrap_or_default();
    let name = Option::<String>::from_value(field("name")).map_err(|m| m.inside(".name"))?;
    let y = Vec::<f64>::from_value(field("y")).map_err(|m| m.inside(".y"))?;
    let x = Option::<Vec<f64>>::from_value(field("x")).map_err(|m| m.inside(".x"))?;
    let spread = Option::<Vec<f64>>::from_value(field("spread")).map_err(|m| m.inside(".spread"))?;
    let group = Option::<String>::from_value(field("group")).map_err(|m| m.inside(".group"))?;
    let kind = Option::<String>::from_value(field("kind")).map_err(|m| m.inside(".kind"))?;
    let own = Option::<bool>::from_value(field("markers")).map_err(|m| m.inside(".markers"))?;
    nothing_else(&map, "map of name, x, y, spread, group, kind and markers")?;
    for (field, length) in [("x", x.as_ref().map(Vec::len)), ("spread", spread.as_ref().map(Vec::len))] {
        if let Some(length) = length.filter(|l| *l != y.len()) {
            let given = format!("{length} of {field} for {} of y", y.len());
            return Err(Mismatch {
                expected: "map whose lists are of one length".into(),
                given,
                at: String::new(),
            });
        }
    }
    let points = match x {
        Some(x) => x.into_iter().zip(y).collect(),
        None => numbered(y),
    };
    let name = name.unwrap_or_else(|| format!("{}", index + 1));
    let (spread, markers) = (spread.unwrap_or_default(), own.unwrap_or(markers));
    Ok(Series { name, points, spread, group, kind, markers })
}

fn heatmap(_: &Ctx, args: &mut Args) -> Result<String> {
    let values: Vec<Vec<f64>> = args.get("matrix")?;
    let named_by = if args.is_given("rows") { "rows" } else { "labels" };
    let labels: Option<Vec<String>> = args.opt("labels")?;
    let rows: Vec<String> = args.opt("rows")?.or_else(|| labels.clone()).unwrap_or_default();
    let columns: Vec<String> = args.opt("columns")?.or(labels).unwrap_or_default();
    if !rows.is_empty() && rows.len() != values.len() {
        let what = format!("names {} rows, but the matrix has {}", rows.len(), values.len());
        return Err(args.wrong(named_by, what));
    }
    if let Some(value) = values.iter().flatten().find(|value| is_too_large(**value)) {
        return Err(args.wrong("matrix", format!("holds {value:e}: {BEYOND}")));
    }
    let (low, high): (Option<f64>, Option<f64>) = (args.opt("low")?, args.opt("high")?);
    for (name, end) in [("low", low), ("high", high)] {
        if let Some(end) = end.filter(|end| !end.is_finite() || is_too_large(*end)) {
            return Err(args.wrong(name, format!("is {end:e}: {BEYOND}")));
        }
    }
    if let (Some(low), Some(high)) = (low, high)
        && low >= high
    {
        return Err(args.wrong("low", format!("must be below high, got {low} and {high}")));
    }
    let finite = || values.iter().flatten().copied().filter(|v| v.is_finite());
    let range = match (low, high) {
        (None, None) => None,
        (low, high) => Some((
            low.unwrap_or_else(|| finite().fold(f64::INFINITY, f64::min)),
            high.unwrap_or_else(|| finite().fold(f64::NEG_INFINITY, f64::max)),
        )),
    };
    let map = HeatMap { title: args.get("title")?, rows, columns, values, range };
    write(args, map.to_svg())
}

fn write(args: &mut Args, svg: String) -> Result<String> {
    if let Some(path) = args.opt_file("path")? {
        let path = path.path();
        let io = |e| lota_runtime::Error::io(path, e);
        lota_runtime::host::write_atomic(path, |w| w.write_all(svg.as_bytes()).map_err(io))
            .map_err(Error::from)?;
    }
    Ok(svg)
}
