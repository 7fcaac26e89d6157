//! What a row group takes in memory, asked before it is read: a dictionary or a run stands for many values in few bytes.

use ::parquet::basic::Type as Physical;
use ::parquet::column::reader::ColumnReader;
use ::parquet::file::reader::RowGroupReader;

use super::super::rows::Rows;
use crate::{Error, Result};

/// What a value takes while a row is put together.
const VALUE_BYTES: u64 = 64;

/// Refuses a row group whose columns, or one of whose rows, cannot fit. Rows without lists are counted one by one when
/// they are read; a row with a list is made whole before it is seen, so its values are counted here.
pub(super) fn check_group(rows: &Rows<'_>, group: &dyn RowGroupReader) -> Result<()> {
    let path = rows.path;
    let wrong = |e: ::parquet::errors::ParquetError| Error::format(path, e.to_string());
    for (i, column) in group.metadata().columns().iter().enumerate() {
        let kind = column.column_descr();
        if kind.max_rep_level() == 0 {
            continue;
        }
        rows.fits(u64::try_from(column.num_values()).unwrap_or(u64::MAX).saturating_mul(VALUE_BYTES))?;
        if kind.physical_type() != Physical::BYTE_ARRAY {
            continue;
        }
        let ColumnReader::ByteArrayColumnReader(mut reader) = group.get_column_reader(i).map_err(wrong)?
        else {
            continue;
        };
        let mut bytes = 0u64;
        let (mut definitions, mut repetitions, mut values) = (Vec::new(), Vec::new(), Vec::new());
        loop {
            definitions.clear();
            repetitions.clear();
            values.clear();
            // Values are parts of the page or dictionary that they are in; none is copied.
            let (records, _, _) = reader
                .read_records(1024, Some(&mut definitions), Some(&mut repetitions), &mut values)
                .map_err(wrong)?;
            if records == 0 {
                break;
            }
            bytes += values.iter().map(|v| v.len() as u64 + VALUE_BYTES).sum::<u64>();
            rows.fits(bytes)?;
        }
    }
    Ok(())
}
