//! Parquet, through its row interface (data sets of text need no columns in memory).

mod pages;
mod size;
mod value;

use std::fs::File;

use ::parquet::file::reader::{FileReader, SerializedFileReader};
use ::parquet::schema::types::Type;

use self::pages::check_pages;
use self::size::check_group;
use self::value::{Lost, row};
use super::rows::Rows;
use crate::host::{Host, read_foreign};
use crate::{Error, Result};

/// Reads the rows of a file.
pub fn read(rows: &mut Rows<'_>, host: &Host) -> Result<()> {
    let path = rows.path;
    let mut lost = Lost::default();
    read_foreign(path, "a Parquet file", || -> Result<()> {
        let file = File::open(path).map_err(|e| Error::io(path, e))?;
        let mut pages = file.try_clone().map_err(|e| Error::io(path, e))?;
        let reader = SerializedFileReader::new(file)
            .map_err(|e| Error::format(path, format!("not a readable Parquet file: {e}")))?;
        let schema = reader.metadata().file_metadata().schema();
        check_names(schema).map_err(|what| Error::format(path, what))?;
        for group in 0..reader.num_row_groups() {
            if rows.full() {
                break;
            }
            let wrong = |what: String| Error::format(path, format!("row group {}: {what}", group + 1));
            let group = reader.get_row_group(group).map_err(|e| wrong(e.to_string()))?;
            for column in group.metadata().columns() {
                check_pages(rows, &mut pages, column)?;
            }
            check_group(rows, &*group)?;
            for record in group.get_row_iter(None).map_err(|e| wrong(e.to_string()))? {
                if rows.full() {
                    break;
                }
                let told = |what: String| Error::format(path, format!("row {}: {what}", rows.number()));
                let record = record.map_err(|e| told(e.to_string()))?;
                let (row, bytes) = row(record, schema, &mut lost).map_err(told)?;
                rows.take(bytes)?;
                rows.push(row);
            }
        }
        Ok(())
    })?;
    let bytes = lost
        .bytes
        .into_iter()
        .map(|(column, count)| (column, count, "values are bytes that are not UTF-8 text"));
    let numbers =
        lost.numbers.into_iter().map(|(column, count)| (column, count, "values are NaN or infinite"));
    for (column, count, what) in bytes.chain(numbers) {
        host.events.notice(format!(
            "{}: column `{column}`: {count} {what}; they are left out of their rows",
            path.display()
        ));
    }
    Ok(())
}

/// Rows have one value for each name.
fn check_names(schema: &Type) -> std::result::Result<(), String> {
    let names: Vec<&str> = schema.get_fields().iter().map(|field| field.name()).collect();
    match (1..names.len()).find(|&i| names[..i].contains(&names[i])) {
        Some(i) => Err(format!("two columns are called `{}`", names[i])),
        None => Ok(()),
    }
}
