//! A list of maps with the same names as a table with a column for each.

use lota::api::{Map, Value};

use super::Style;

/// The table, if the items are two rows or more of plain values under the same names, and fit.
pub(super) fn table(items: &[Value], style: &Style<'_>) -> Option<String> {
    let rows: Vec<&Map> = items
        .iter()
        .map(|item| match item {
            Value::Map(map) => Some(map),
            _ => None,
        })
        .collect::<Option<_>>()?;
    let names: Vec<&str> = rows.first()?.iter().map(|(name, _)| name).collect();
    let same =
        |row: &&Map| row.len() == names.len() && names.iter().all(|n| row.get(n).is_some_and(is_plain));
    if rows.len() < 2 || names.is_empty() || !rows.iter().all(same) {
        return None;
    }
    let shown = &rows[..rows.len().min(style.settings.items)];
    let columns: Vec<Column> = names.iter().map(|name| Column::of(name, shown)).collect();
    if columns.iter().map(|c| c.width + 2).sum::<usize>() > style.settings.width + 2 {
        return None;
    }
    let lines = (0..=shown.len()).map(|i| {
        let cells: Vec<String> = columns.iter().map(|c| c.cell(i)).collect();
        cells.join("  ").trim_end().to_string()
    });
    let mut lines: Vec<String> = lines.collect();
    if rows.len() > shown.len() {
        lines.push(format!("... {} more", rows.len() - shown.len()));
    }
    Some(lines.join("\n"))
}

fn is_plain(value: &Value) -> bool {
    match value {
        Value::Str(text) => !text.contains('\n') && text.chars().count() <= 48,
        Value::Bool(_) | Value::Int(_) | Value::Float(_) => true,
        _ => false,
    }
}

struct Column {
    /// The name, then a text for each row.
    cells: Vec<String>,
    width: usize,
    left: bool,
}

impl Column {
    fn of(name: &str, rows: &[&Map]) -> Self {
        let values: Vec<&Value> = rows.iter().filter_map(|row| row.get(name)).collect();
        let mut cells = vec![name.to_string()];
        cells.extend(values.iter().map(|v| match v {
            Value::Float(x) => number(*x),
            other => lota::api::show(other),
        }));
        let width = cells.iter().map(|c| c.chars().count()).max().unwrap_or(0);
        Self { cells, width, left: !values.iter().all(|v| matches!(v, Value::Int(_) | Value::Float(_))) }
    }

    fn cell(&self, i: usize) -> String {
        let (text, width) = (&self.cells[i], self.width);
        if self.left { format!("{text:<width$}") } else { format!("{text:>width$}") }
    }
}

/// A number to five digits.
pub(super) fn number(x: f64) -> String {
    if x == 0.0 || !x.is_finite() {
        return format!("{x}");
    }
    let size = x.abs().log10().floor() as i32;
    if !(-5..9).contains(&size) {
        return format!("{x:.4e}");
    }
    let text = format!("{x:.*}", (4 - size).max(0) as usize);
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_string() } else { text }
}

#[cfg(test)]
mod tests {
    use super::number;

    #[test]
    fn numbers_are_told_to_five_digits() {
        for (x, text) in [
            (0.0, "0"),
            (0.5, "0.5"),
            (1.0 / 3.0, "0.33333"),
            (-1234.5678, "-1234.6"),
            (123_456.7, "123457"),
            (9.999_999, "10"),
            (1.5e-7, "1.5000e-7"),
            (2e12, "2.0000e12"),
            (f64::NAN, "NaN"),
        ] {
            assert_eq!(number(x), text);
        }
    }
}
