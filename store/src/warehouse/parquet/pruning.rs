//! What of a file need not be read, by its statistics: row groups and pages without an asked event or run, and columns
//! that are the same in every row.

use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::Arc;

use arrow::array::{
    ArrayRef, DictionaryArray, Int32Array, Int64Array, StringArray, TimestampMicrosecondArray,
    TimestampMillisecondArray, UInt8Array, UInt16Array, UInt32Array, UInt64Array, new_null_array,
};
use arrow::datatypes::{DataType, Int32Type, TimeUnit};
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, RowSelection};
use parquet::file::page_index::column_index::ColumnIndexMetaData;
use parquet::file::statistics::Statistics;

use super::data_file::{BATCH_ROWS, Part};
use super::schema;

/// Which rows a question reads.
pub(super) enum Asked<'a> {
    /// Metric events of these names.
    Names(BTreeSet<&'a str>),
    /// Exposures of these runs.
    Runs(BTreeSet<u64>),
}

impl Asked<'_> {
    fn column(&self) -> &'static str {
        match self {
            Self::Names(_) => schema::NAME,
            Self::Runs(_) => schema::RUN,
        }
    }

    /// Whether a name between these bounds is asked for. Bounds may be cut short, the upper one then rounded up.
    fn has_name_in(&self, lowest: &[u8], highest: &[u8]) -> bool {
        match self {
            Self::Names(names) => names.iter().any(|name| lowest <= name.as_bytes() && name.as_bytes() <= highest),
            Self::Runs(_) => true,
        }
    }

    fn has_run_in(&self, lowest: i64, highest: i64) -> bool {
        match self {
            // The column is unsigned, its physical type is not.
            Self::Runs(runs) => runs.range(lowest as u64..=(highest as u64).max(lowest as u64)).next().is_some(),
            Self::Names(_) => true,
        }
    }
}

/// What to read of a row group; `None` when it has no asked row.
pub(super) fn part(footer: &ArrowReaderMetadata, row_group: usize, asked: &Asked<'_>) -> Option<Part> {
    let whole = Some(Part { row_group, rows: None });
    let metadata = footer.metadata();
    let Some(column) = position(footer, asked.column()) else {
        return whole;
    };
    let group = metadata.row_group(row_group);
    let may_have = match group.column(column).statistics() {
        Some(Statistics::ByteArray(bounds)) => match (bounds.min_bytes_opt(), bounds.max_bytes_opt()) {
            (Some(lowest), Some(highest)) => asked.has_name_in(lowest, highest),
            _ => true,
        },
        Some(Statistics::Int64(bounds)) => match (bounds.min_opt(), bounds.max_opt()) {
            (Some(lowest), Some(highest)) => asked.has_run_in(*lowest, *highest),
            _ => bounds.null_count_opt() != u64::try_from(group.num_rows()).ok(),
        },
        _ => true,
    };
    if !may_have {
        return None;
    }
    let pages = metadata.column_index().and_then(|index| index.get(row_group)?.get(column));
    let places = metadata.offset_index().and_then(|index| index.get(row_group)?.get(column));
    let (Some(pages), Some(places)) = (pages, places) else {
        return whole;
    };
    let rows = usize::try_from(group.num_rows()).ok()?;
    let begins: Vec<usize> =
        places.page_locations().iter().filter_map(|page| usize::try_from(page.first_row_index).ok()).collect();
    let is_asked = |page: usize| match pages {
        ColumnIndexMetaData::BYTE_ARRAY(index) => match (index.min_value(page), index.max_value(page)) {
            (Some(lowest), Some(highest)) => asked.has_name_in(lowest, highest),
            _ => false,
        },
        ColumnIndexMetaData::INT64(index) => match (index.min_value(page), index.max_value(page)) {
            (Some(lowest), Some(highest)) => asked.has_run_in(*lowest, *highest),
            _ => false,
        },
        _ => true,
    };
    let mut ranges: Vec<Range<usize>> = Vec::new();
    for page in (0..begins.len()).filter(|page| is_asked(*page)) {
        let range = begins[page]..begins.get(page + 1).copied().unwrap_or(rows);
        match ranges.last_mut() {
            Some(last) if last.end == range.start => last.end = range.end,
            _ => ranges.push(range),
        }
    }
    match ranges.as_slice() {
        [] => None,
        [all] if all.len() == rows => whole,
        _ => Some(Part { row_group, rows: Some(RowSelection::from_consecutive_ranges(ranges.into_iter(), rows)) }),
    }
}

/// The values of a column that has the same in every row, enough of them for a batch.
pub(super) fn constant(footer: &ArrowReaderMetadata, row_group: usize, name: &str) -> Option<ArrayRef> {
    let group = footer.metadata().row_group(row_group);
    let statistics = group.column(position(footer, name)?).statistics()?;
    let nulls = statistics.null_count_opt()?;
    let schema = schema::schema();
    let kind = schema.field_with_name(name).ok()?.data_type();
    if nulls == u64::try_from(group.num_rows()).ok()? {
        return Some(new_null_array(kind, BATCH_ROWS));
    }
    let is_exact = statistics.min_is_exact() && statistics.max_is_exact();
    if nulls > 0 || !is_exact || statistics.min_bytes_opt()? != statistics.max_bytes_opt()? {
        return None;
    }
    Some(match (statistics, kind) {
        (Statistics::Int32(bounds), DataType::UInt8) => {
            Arc::new(UInt8Array::from_value(*bounds.min_opt()? as u8, BATCH_ROWS))
        }
        (Statistics::Int32(bounds), DataType::UInt16) => {
            Arc::new(UInt16Array::from_value(*bounds.min_opt()? as u16, BATCH_ROWS))
        }
        (Statistics::Int32(bounds), DataType::UInt32) => {
            Arc::new(UInt32Array::from_value(*bounds.min_opt()? as u32, BATCH_ROWS))
        }
        (Statistics::Int64(bounds), DataType::UInt64) => {
            Arc::new(UInt64Array::from_value(*bounds.min_opt()? as u64, BATCH_ROWS))
        }
        (Statistics::Int64(bounds), DataType::Int64) => {
            Arc::new(Int64Array::from_value(*bounds.min_opt()?, BATCH_ROWS))
        }
        (Statistics::Int64(bounds), DataType::Timestamp(TimeUnit::Millisecond, _)) => {
            Arc::new(TimestampMillisecondArray::from_value(*bounds.min_opt()?, BATCH_ROWS))
        }
        (Statistics::Int64(bounds), DataType::Timestamp(TimeUnit::Microsecond, _)) => {
            Arc::new(TimestampMicrosecondArray::from_value(*bounds.min_opt()?, BATCH_ROWS))
        }
        (Statistics::ByteArray(bounds), DataType::Dictionary(_, _)) => {
            let text = std::str::from_utf8(bounds.min_bytes_opt()?).ok()?;
            let values = StringArray::from_iter_values([text]);
            Arc::new(
                DictionaryArray::<Int32Type>::try_new(Int32Array::from_value(0, BATCH_ROWS), Arc::new(values)).ok()?,
            )
        }
        _ => return None,
    })
}

fn position(footer: &ArrowReaderMetadata, name: &str) -> Option<usize> {
    footer.parquet_schema().columns().iter().position(|column| column.name() == name)
}
