//! From the values of Parquet to those of JSON.

use std::collections::BTreeMap;

use ::parquet::basic::{ConvertedType, LogicalType, TimeUnit};
use ::parquet::record::{Field, Row as Record};
use ::parquet::schema::types::Type;
use chrono::{DateTime, NaiveDate, NaiveTime, SecondsFormat, TimeDelta};
use serde_json::{Number, Value};

use super::super::Row;
use super::super::rows::{ROW_BYTES, entry_bytes, unsigned};

/// What could not be kept of which columns.
#[derive(Default)]
pub(super) struct Lost {
    /// How many values are bytes that are no text.
    pub bytes: BTreeMap<String, u64>,
    /// How many numbers are NaN or infinite, for which rows have no form.
    pub numbers: BTreeMap<String, u64>,
}

/// What is counted while a value is made.
struct Tally {
    /// About what the row takes in memory.
    bytes: u64,
    /// NaN and infinities.
    not_finite: u64,
}

type Made<T> = std::result::Result<T, String>;

/// A row and about what it takes in memory. `schema` says what the numbers in it mean.
pub(super) fn row(record: Record, schema: &Type, lost: &mut Lost) -> Made<(Row, u64)> {
    let mut row = Row::new();
    let mut tally = Tally { bytes: ROW_BYTES, not_finite: 0 };
    for ((name, field), kind) in record.into_columns().into_iter().zip(schema.get_fields()) {
        tally.bytes += entry_bytes(&name);
        let value =
            value(&field, Some(kind), &mut tally).map_err(|what| format!("column `{name}`: {what}"))?;
        if std::mem::take(&mut tally.not_finite) > 0 {
            *lost.numbers.entry(name.clone()).or_default() += 1;
        }
        match value {
            Some(value) => drop(row.insert(name, value)),
            None => *lost.bytes.entry(name).or_default() += 1,
        }
    }
    Ok((row, tally.bytes))
}

/// The value of a field, or `None` if there are bytes in it that are no text. `kind` is its type in the schema, as far
/// as it is known.
fn value(field: &Field, kind: Option<&Type>, tally: &mut Tally) -> Made<Option<Value>> {
    let mut float = |x: f64| {
        tally.not_finite += u64::from(!x.is_finite());
        Number::from_f64(x).map_or(Value::Null, Value::Number)
    };
    let logical = kind.and_then(|kind| kind.get_basic_info().logical_type_ref());
    let children = |kind: Option<&Type>, i: usize| {
        kind.filter(|kind| kind.is_group()).and_then(|kind| kind.get_fields().get(i).cloned())
    };
    tally.bytes += std::mem::size_of::<Value>() as u64;
    Ok(Some(match field {
        Field::Null => Value::Null,
        Field::Bool(x) => Value::Bool(*x),
        Field::Byte(x) => Value::from(*x),
        Field::Short(x) => Value::from(*x),
        Field::Int(x) => Value::from(*x),
        Field::Long(x) => long(*x, logical)?,
        Field::UByte(x) => Value::from(*x),
        Field::UShort(x) => Value::from(*x),
        Field::UInt(x) => Value::from(*x),
        Field::ULong(x) => unsigned(*x),
        Field::Float16(x) => float(f64::from(x.to_f32())),
        Field::Float(x) => float(f64::from(*x)),
        Field::Double(x) => float(*x),
        Field::Date(days) => date(*days)?,
        Field::TimeMillis(x) => time(i64::from(*x) * 1_000_000)?,
        Field::TimeMicros(x) => time(x.checked_mul(1000).ok_or_else(|| no_time(*x))?)?,
        Field::TimestampMillis(x) => stamp(*x, 1000, is_utc(logical, kind))?,
        Field::TimestampMicros(x) => stamp(*x, 1_000_000, is_utc(logical, kind))?,
        Field::Str(x) => {
            tally.bytes += x.len() as u64;
            Value::String(x.clone())
        }
        Field::Bytes(x) if matches!(logical, Some(LogicalType::Uuid)) && x.len() == 16 => uuid(x.data()),
        Field::Bytes(x) => {
            tally.bytes += x.len() as u64;
            match std::str::from_utf8(x.data()) {
                Ok(text) => Value::String(text.to_string()),
                Err(_) => return Ok(None),
            }
        }
        // Exact, as text; without the point that whole numbers end in.
        Field::Decimal(_) => {
            let text = field.to_string();
            Value::String(text.strip_suffix('.').unwrap_or(&text).to_string())
        }
        Field::Group(x) => {
            let mut map = Row::new();
            for (i, (name, field)) in x.get_column_iter().enumerate() {
                tally.bytes += entry_bytes(name);
                let child = children(kind, i);
                let Some(value) = value(field, child.as_deref(), tally)? else { return Ok(None) };
                map.insert(name.clone(), value);
            }
            Value::Object(map)
        }
        Field::ListInternal(x) => {
            let element = kind.and_then(element_of);
            let mut items = Vec::with_capacity(x.len());
            for field in x.elements() {
                let Some(value) = value(field, element.as_deref(), tally)? else { return Ok(None) };
                items.push(value);
            }
            Value::Array(items)
        }
        Field::MapInternal(x) => {
            let pair = children(kind, 0);
            let (of_key, of_value) = (children(pair.as_deref(), 0), children(pair.as_deref(), 1));
            let mut map = Row::new();
            for (k, v) in x.entries() {
                let key = match value(k, of_key.as_deref(), tally)? {
                    Some(Value::String(text)) => text,
                    Some(other) => other.to_string(),
                    None => return Ok(None),
                };
                tally.bytes += entry_bytes(&key);
                let Some(value) = value(v, of_value.as_deref(), tally)? else { return Ok(None) };
                map.insert(key, value);
            }
            Value::Object(map)
        }
    }))
}

/// The type of a list's elements, by the rules of the format's older forms too.
fn element_of(list: &Type) -> Option<::parquet::schema::types::TypePtr> {
    if list.is_primitive() {
        // A repeated field that is no list: its type is that of its elements, which `Field` tells.
        return Some(std::sync::Arc::new(list.clone()));
    }
    let repeated = list.get_fields().first()?.clone();
    let info = list.get_basic_info();
    let is_list =
        info.converted_type() == ConvertedType::LIST || info.logical_type_ref() == Some(&LogicalType::List);
    if is_list && repeated.is_group() && repeated.get_fields().len() == 1 {
        return repeated.get_fields().first().cloned();
    }
    Some(repeated)
}

/// A number of 64 bits, which may be a time in nanoseconds: of these only the logical type tells.
fn long(x: i64, logical: Option<&LogicalType>) -> Made<Value> {
    match logical {
        Some(LogicalType::Timestamp(t)) => {
            let per_second = match t.unit {
                TimeUnit::MILLIS => 1000,
                TimeUnit::MICROS => 1_000_000,
                TimeUnit::NANOS => 1_000_000_000,
            };
            stamp(x, per_second, t.is_adjusted_to_u_t_c)
        }
        Some(LogicalType::Time(t)) => match t.unit {
            TimeUnit::MILLIS => time(x.checked_mul(1_000_000).ok_or_else(|| no_time(x))?),
            TimeUnit::MICROS => time(x.checked_mul(1000).ok_or_else(|| no_time(x))?),
            TimeUnit::NANOS => time(x),
        },
        Some(LogicalType::Integer(int)) if !int.is_signed => Ok(unsigned(x.cast_unsigned())),
        _ => Ok(Value::from(x)),
    }
}

/// Whether a time is one of UTC. Files of before there were logical types say so of all; the oldest form of times
/// (INT96) says nothing.
fn is_utc(logical: Option<&LogicalType>, kind: Option<&Type>) -> bool {
    match logical {
        Some(LogicalType::Timestamp(t)) => t.is_adjusted_to_u_t_c,
        _ => kind.is_some_and(|k| k.is_primitive() && k.get_physical_type() == ::parquet::basic::Type::INT64),
    }
}

fn date(days: i32) -> Made<Value> {
    let epoch = NaiveDate::from_ymd_opt(1970, 1, 1).unwrap_or_default();
    let date = TimeDelta::try_days(i64::from(days)).and_then(|days| epoch.checked_add_signed(days));
    date.map(|date| Value::String(date.to_string()))
        .ok_or_else(|| format!("there is no date {days} days from 1970"))
}

fn stamp(ticks: i64, per_second: i64, utc: bool) -> Made<Value> {
    let nanos = ticks.rem_euclid(per_second) * (1_000_000_000 / per_second);
    let time =
        u32::try_from(nanos).ok().and_then(|n| DateTime::from_timestamp(ticks.div_euclid(per_second), n));
    let time = time.ok_or_else(|| format!("there is no time {ticks} / {per_second} seconds from 1970"))?;
    let text = time.to_rfc3339_opts(SecondsFormat::AutoSi, true);
    Ok(Value::String(if utc { text } else { text.trim_end_matches('Z').to_string() }))
}

/// A time of day.
fn time(nanos: i64) -> Made<Value> {
    let parts = u32::try_from(nanos.div_euclid(1_000_000_000)).ok();
    let parts = parts.zip(u32::try_from(nanos.rem_euclid(1_000_000_000)).ok());
    let time = parts.and_then(|(s, n)| NaiveTime::from_num_seconds_from_midnight_opt(s, n));
    time.map(|time| Value::String(time.to_string())).ok_or_else(|| no_time(nanos))
}

fn no_time(ticks: i64) -> String {
    format!("{ticks} is no time of a day")
}

fn uuid(bytes: &[u8]) -> Value {
    let hex: String = bytes.iter().map(|b| format!("{b:02x}")).collect();
    let parts = [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]];
    Value::String(parts.join("-"))
}
