//! Parquet, through its row interface (data sets of text need no columns in memory).

use std::fs::File;
use std::path::Path;

use ::parquet::file::reader::{FileReader, SerializedFileReader};
use ::parquet::record::{Field, Row as Record};
use serde_json::{Number, Value};

use super::Row;
use crate::{Error, Result};

/// The rows of the file at `path`.
pub fn read(path: &Path) -> Result<Vec<Row>> {
    let file = File::open(path).map_err(|e| Error::io(path, e))?;
    let reader = SerializedFileReader::new(file)
        .map_err(|e| Error::format(path, format!("not a readable Parquet file: {e}")))?;
    let records = reader.get_row_iter(None).map_err(|e| Error::format(path, e.to_string()))?;
    let mut rows = Vec::new();
    for record in records {
        let number = rows.len() + 1;
        let record = record.map_err(|e| Error::format(path, format!("row {number}: {e}")))?;
        rows.push(row(record).map_err(|what| Error::format(path, format!("row {number}: {what}")))?);
    }
    Ok(rows)
}

fn row(record: Record) -> std::result::Result<Row, String> {
    record
        .into_columns()
        .into_iter()
        .map(|(name, field)| match value(&field) {
            Ok(v) => Ok((name, v)),
            Err(what) => Err(format!("column `{name}`: {what}")),
        })
        .collect()
}

/// The JSON value of a field. Times stay the numbers the file stores; text in a column without a
/// text annotation is still text.
fn value(field: &Field) -> std::result::Result<Value, String> {
    let float = |x: f64| Number::from_f64(x).map_or(Value::Null, Value::Number);
    Ok(match field {
        Field::Null => Value::Null,
        Field::Bool(x) => Value::Bool(*x),
        Field::Byte(x) => Value::from(*x),
        Field::Short(x) => Value::from(*x),
        Field::Int(x) | Field::Date(x) | Field::TimeMillis(x) => Value::from(*x),
        Field::Long(x) | Field::TimeMicros(x) | Field::TimestampMillis(x) | Field::TimestampMicros(x) => {
            Value::from(*x)
        }
        Field::UByte(x) => Value::from(*x),
        Field::UShort(x) => Value::from(*x),
        Field::UInt(x) => Value::from(*x),
        Field::ULong(x) => Value::from(*x),
        Field::Float16(x) => float(f64::from(x.to_f32())),
        Field::Float(x) => float(f64::from(*x)),
        Field::Double(x) => float(*x),
        Field::Str(x) => Value::String(x.clone()),
        Field::Bytes(x) => Value::String(
            std::str::from_utf8(x.data())
                .map_err(|_| "bytes that are not UTF-8 text cannot be read".to_string())?
                .to_string(),
        ),
        Field::Decimal(_) => Value::String(field.to_string()),
        Field::Group(x) => Value::Object(
            x.get_column_iter().map(|(k, v)| Ok((k.clone(), value(v)?))).collect::<Result<_, String>>()?,
        ),
        Field::ListInternal(x) => {
            Value::Array(x.elements().iter().map(value).collect::<Result<_, String>>()?)
        }
        Field::MapInternal(x) => Value::Object(
            x.entries()
                .iter()
                .map(|(k, v)| {
                    let key = match value(k)? {
                        Value::String(text) => text,
                        other => other.to_string(),
                    };
                    Ok((key, value(v)?))
                })
                .collect::<Result<_, String>>()?,
        ),
    })
}
