//! From a value to a chart in characters.

use lota::Told as _;
use lota::api::{Map, Object, ScriptMask, ScriptTensor, Value};
use lota::plot::{LARGEST, LineChart, Series, text};
use lota::runtime::mask::By;
use lota::{Error, Result};

use super::pretty::Style;

const HEIGHT: usize = 16;
/// Lines drawn of one table.
const MOST: usize = 8;

/// The chart of a value.
pub fn draw(value: &Value, style: &Style<'_>) -> Result<String> {
    let width = style.settings.width;
    match value {
        Value::List(items) if items.iter().all(|v| number(v).is_some()) && !items.is_empty() => {
            let values: Vec<f64> = items.iter().filter_map(number).collect();
            drawn(vec![series("", &values)], width)
        }
        Value::List(items) => rows(items, width),
        Value::Map(map) => named(map, width),
        Value::Object(object) => of_object(object, width),
        other => Err(cannot(&other.describe())),
    }
}

fn cannot(what: &str) -> Error {
    Error::argument(format!(
        "a {what} cannot be drawn; what can: a list of numbers, a tensor of one dimension, a list of maps with numbers \
         (as a run's records), a map of numbers or of lists, a mask"
    ))
}

fn number(value: &Value) -> Option<f64> {
    match value {
        Value::Int(i) => Some(*i as f64),
        Value::Float(x) => Some(*x),
        _ => None,
    }
}

fn series(name: &str, values: &[f64]) -> Series {
    let points = values.iter().enumerate().map(|(i, y)| ((i + 1) as f64, *y)).collect();
    Series { name: name.to_string(), points, ..Series::default() }
}

fn of_object(object: &Object, width: usize) -> Result<String> {
    if let Some(mask) = object.downcast_ref::<ScriptMask>() {
        let counts = mask.by(By::Layer);
        let rows: Vec<(String, f64)> = counts.iter().map(|c| (c.group.clone(), c.density())).collect();
        return Ok(format!("density by layer\n{}", text::bars(&rows, width)));
    }
    match object.downcast_ref::<ScriptTensor>().map(ScriptTensor::get) {
        Some(tensor) if tensor.rank() == 1 => {
            let tensor = tensor.to_dtype(candle_core::DType::F64).told()?;
            drawn(vec![series("", &tensor.to_vec1().told()?)], width)
        }
        Some(tensor) => Err(cannot(&format!("tensor of {} dimensions", tensor.rank()))),
        None => Err(cannot(object.type_name())),
    }
}

/// Rows of figures: densities of groups as bars; else their loss, or whatever numbers they hold, over
/// their step.
fn rows(items: &[Value], width: usize) -> Result<String> {
    let rows: Vec<&Map> =
        items.iter().filter_map(|v| if let Value::Map(m) = v { Some(m) } else { None }).collect();
    if rows.len() < items.len() || rows.is_empty() {
        return Err(cannot("list of such things"));
    }
    let bars = rows.iter().map(|row| match row.get("group")? {
        Value::Str(name) => Some((name.clone(), number(row.get("density")?)?)),
        _ => None,
    });
    if let Some(bars) = bars.collect::<Option<Vec<_>>>() {
        return Ok(format!("density\n{}", text::bars(&bars, width)));
    }
    let x = |i: usize, row: &Map| row.get("step").and_then(number).unwrap_or((i + 1) as f64);
    let mut names: Vec<&str> = Vec::new();
    for (name, value) in rows.iter().flat_map(|row| row.iter()) {
        if number(value).is_some() && name != "step" && !names.contains(&name) {
            names.push(name);
        }
    }
    if names.contains(&"loss") {
        names = vec!["loss"];
    }
    names.truncate(MOST);
    let lines: Vec<Series> = names
        .iter()
        .map(|name| {
            let points =
                rows.iter().enumerate().filter_map(|(i, row)| Some((x(i, row), number(row.get(name)?)?)));
            Series { name: (*name).to_string(), points: points.collect(), ..Series::default() }
        })
        .collect();
    if lines.is_empty() {
        return Err(cannot("list of maps without numbers"));
    }
    let title = if lines.len() == 1 { format!("{}\n", names[0]) } else { String::new() };
    Ok(title + drawn(lines, width)?.as_str())
}

/// Lines in characters.
fn drawn(series: Vec<Series>, width: usize) -> Result<String> {
    let values = series.iter().flat_map(|s| s.points.iter().flat_map(|(x, y)| [*x, *y]));
    if let Some(value) = values.into_iter().find(|v| v.is_finite() && v.abs() > LARGEST) {
        let what = format!("{value:e} cannot be drawn: a chart has places from -{LARGEST:e} to {LARGEST:e}");
        return Err(Error::argument(what));
    }
    Ok(text::lines(&LineChart { series, ..LineChart::default() }, width, HEIGHT))
}

/// Numbers by name are bars, lists by name are lines.
fn named(map: &Map, width: usize) -> Result<String> {
    let bars: Option<Vec<_>> = map.iter().map(|(name, v)| Some((name.to_string(), number(v)?))).collect();
    if let Some(bars) = bars.filter(|b| !b.is_empty()) {
        return Ok(text::bars(&bars, width));
    }
    let lines = map.iter().filter_map(|(name, value)| match value {
        Value::List(items) => {
            let values: Option<Vec<f64>> = items.iter().map(number).collect();
            values.filter(|v| !v.is_empty()).map(|v| series(name, &v))
        }
        _ => None,
    });
    let lines: Vec<Series> = lines.take(MOST).collect();
    if lines.is_empty() {
        return Err(cannot("map without numbers or lists of them"));
    }
    drawn(lines, width)
}
