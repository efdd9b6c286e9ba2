//! Typed views of the columns of a batch. A column that is missing or of another type names itself: the file was not
//! written by this warehouse, or is damaged.

use arrow::array::{
    Array, ArrayRef, ArrowPrimitiveType, AsArray, DictionaryArray, Float64Array, PrimitiveArray, RecordBatch,
    StringArray,
};
use arrow::datatypes::{
    Float64Type, Int32Type, Int64Type, TimestampMillisecondType, UInt8Type, UInt16Type, UInt32Type, UInt64Type,
};
use liftgate_domain::StoreError;

use super::schema;

/// The instants of the rows of a batch, in microseconds.
pub(super) fn times(batch: &RecordBatch) -> Result<Vec<i64>, StoreError> {
    let ms = primitive::<TimestampMillisecondType>(batch, schema::TS)?;
    let us = primitive::<UInt16Type>(batch, schema::TS_US)?;
    let instant = |(ms, us): (&i64, &u16)| ms.wrapping_mul(1_000).wrapping_add(i64::from(*us));
    Ok(ms.values().iter().zip(us.values()).map(instant).collect())
}

/// When the rows of a batch were received, in microseconds; `times` are their instants.
pub(super) fn received(batch: &RecordBatch, times: &[i64]) -> Result<Vec<i64>, StoreError> {
    let after = primitive::<Int64Type>(batch, schema::RECEIVED_AFTER_US)?;
    Ok(times.iter().zip(after.values()).map(|(ts, after)| ts.wrapping_add(*after)).collect())
}

pub(super) fn u8s<'a>(batch: &'a RecordBatch, name: &str) -> Result<&'a PrimitiveArray<UInt8Type>, StoreError> {
    primitive::<UInt8Type>(batch, name)
}

pub(super) fn u64s<'a>(batch: &'a RecordBatch, name: &str) -> Result<&'a PrimitiveArray<UInt64Type>, StoreError> {
    primitive::<UInt64Type>(batch, name)
}

pub(super) fn u32s<'a>(batch: &'a RecordBatch, name: &str) -> Result<&'a PrimitiveArray<UInt32Type>, StoreError> {
    primitive::<UInt32Type>(batch, name)
}

pub(super) fn f64s<'a>(batch: &'a RecordBatch, name: &str) -> Result<&'a Float64Array, StoreError> {
    primitive::<Float64Type>(batch, name)
}

pub(super) fn texts<'a>(batch: &'a RecordBatch, name: &str) -> Result<&'a StringArray, StoreError> {
    column(batch, name)?.as_string_opt::<i32>().ok_or_else(|| wrong_type(name))
}

fn primitive<'a, T: ArrowPrimitiveType>(
    batch: &'a RecordBatch,
    name: &str,
) -> Result<&'a PrimitiveArray<T>, StoreError> {
    column(batch, name)?.as_primitive_opt::<T>().ok_or_else(|| wrong_type(name))
}

fn column<'a>(batch: &'a RecordBatch, name: &str) -> Result<&'a ArrayRef, StoreError> {
    batch.column_by_name(name).ok_or_else(|| StoreError::Corrupt(format!("column `{name}` is missing")))
}

fn wrong_type(name: &str) -> StoreError {
    StoreError::Corrupt(format!("column `{name}` has another type than this version writes"))
}

/// A dictionary column: a text is looked at once a batch, not once a row.
pub(super) struct Names<'a> {
    pub(super) keys: &'a PrimitiveArray<Int32Type>,
    pub(super) values: &'a StringArray,
}

impl<'a> Names<'a> {
    pub(super) fn of(batch: &'a RecordBatch, name: &str) -> Result<Self, StoreError> {
        let array: &DictionaryArray<Int32Type> =
            column(batch, name)?.as_dictionary_opt().ok_or_else(|| wrong_type(name))?;
        let values = array.values().as_string_opt::<i32>().ok_or_else(|| wrong_type(name))?;
        Ok(Self { keys: array.keys(), values })
    }

    /// What `of_text` says of each distinct text.
    pub(super) fn map<T: Default + Clone>(&self, of_text: impl Fn(&str) -> T) -> NameMap<'a, T> {
        let texts = 0..self.values.len();
        let of_value = texts.map(|index| of_text(self.values.value(index))).collect();
        NameMap { keys: self.keys, of_value }
    }

    /// The text of a row; `None` when absent.
    pub(super) fn text(&self, row: usize) -> Option<&'a str> {
        (!self.keys.is_null(row)).then(|| self.values.value(self.keys.value(row) as usize))
    }
}

/// Something known of each distinct text of a dictionary column.
pub(super) struct NameMap<'a, T> {
    keys: &'a PrimitiveArray<Int32Type>,
    of_value: Vec<T>,
}

impl<T> NameMap<'_, T> {
    /// What is known of a row's text; `None` when it has none.
    pub(super) fn get(&self, row: usize) -> Option<&T> {
        if self.keys.is_null(row) {
            return None;
        }
        self.of_value.get(self.keys.value(row) as usize)
    }
}

/// The value of a row of a nullable column.
pub(super) fn opt<T: ArrowPrimitiveType>(array: &PrimitiveArray<T>, row: usize) -> Option<T::Native> {
    (!array.is_null(row)).then(|| array.value(row))
}
