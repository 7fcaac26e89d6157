//! Markdown tables.

/// A Markdown table of `header` and `rows`, its columns padded so that it can be read as text too.
/// Columns whose cells are all numbers are aligned to the right. Short rows are filled up.
pub fn markdown_table(header: &[String], rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0).max(header.len());
    let cell = |row: &[String], c: usize| row.get(c).map_or_else(String::new, |t| escape(t));
    let right: Vec<bool> = (0..columns)
        .map(|c| {
            let mut cells = rows.iter().filter_map(|r| r.get(c)).filter(|t| !t.trim().is_empty()).peekable();
            cells.peek().is_some() && cells.all(|t| is_number(t))
        })
        .collect();
    let width: Vec<usize> = (0..columns)
        .map(|c| {
            let longest = rows.iter().map(|r| cell(r, c).chars().count()).max().unwrap_or(0);
            longest.max(cell(header, c).chars().count()).max(3)
        })
        .collect();
    let line = |row: &[String]| {
        let cells = (0..columns).map(|c| {
            let (text, w) = (cell(row, c), width[c]);
            if right[c] { format!("{text:>w$}") } else { format!("{text:<w$}") }
        });
        format!("| {} |\n", cells.collect::<Vec<_>>().join(" | "))
    };
    let rule = (0..columns)
        .map(|c| if right[c] { format!("{}:", "-".repeat(width[c] - 1)) } else { "-".repeat(width[c]) });
    let mut out = line(header);
    out.push_str(&format!("| {} |\n", rule.collect::<Vec<_>>().join(" | ")));
    rows.iter().for_each(|row| out.push_str(&line(row)));
    out
}

fn escape(text: &str) -> String {
    text.replace('\\', "\\\\").replace('|', "\\|").replace(['\n', '\r'], " ")
}

/// Whether a cell reads as a quantity: digits first, perhaps after a sign, perhaps with a unit; or none, infinite, or no
/// number.
fn is_number(text: &str) -> bool {
    let text = text.trim();
    let unsigned = text.trim_start_matches(['-', '+']);
    let special = ["nan", "inf"].iter().any(|word| unsigned.eq_ignore_ascii_case(word));
    text == "-" || special || unsigned.starts_with(|c: char| c.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up_and_bars_are_escaped() {
        let s = |t: &[&str]| t.iter().map(|x| (*x).to_string()).collect::<Vec<_>>();
        let text =
            markdown_table(&s(&["method", "score"]), &[s(&["a|b", "0.5 ± 0.1"]), s(&["longer name", "-"])]);
        assert_eq!(
            text,
            "| method      |     score |\n| ----------- | --------: |\n| a\\|b        | 0.5 ± 0.1 |\n\
             | longer name |         - |\n"
        );
    }

    #[test]
    fn a_number_that_is_none_keeps_its_column_to_the_right() {
        let rows = ["0.5", "-nan", "NaN", "inf"].map(|cell| vec![cell.to_string()]);
        let text = markdown_table(&["loss".to_string()], &rows);
        assert_eq!(text, "| loss |\n| ---: |\n|  0.5 |\n| -nan |\n|  NaN |\n|  inf |\n");
    }

    #[test]
    fn short_rows_are_filled() {
        let text = markdown_table(&["a".to_string(), "b".to_string()], &[vec!["x".to_string()]]);
        assert!(text.ends_with("| x   |     |\n"), "{text}");
    }
}
