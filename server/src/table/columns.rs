//! Columns and cells of a table, and their Arrow form.

use std::sync::Arc;

use arrow::{
    array::{ArrayRef, Float64Array, StringArray, UInt64Array},
    datatypes::{DataType, Field, Schema},
};

/// A column.
#[derive(Clone, Copy, Debug)]
pub struct Column {
    /// Its name.
    pub name: &'static str,
    /// What its cells hold.
    pub kind: Kind,
}

/// What the cells of a column hold.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Kind {
    /// Text.
    Text,
    /// A whole number of 0 or more.
    Whole,
    /// A finite number.
    Number,
}

/// A cell.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// Nothing is known.
    Missing,
    /// Text.
    Text(String),
    /// A whole number.
    Whole(u64),
    /// A number.
    Number(f64),
}

impl Value {
    /// Text.
    pub fn text(text: &str) -> Self {
        Self::Text(text.to_owned())
    }

    /// The cell as CSV has it.
    pub(super) fn to_csv(&self) -> String {
        match self {
            Self::Missing => String::new(),
            Self::Whole(number) => number.to_string(),
            Self::Number(number) => number.to_string(),
            Self::Text(text) => {
                let disarmed =
                    if text.starts_with(['=', '+', '-', '@', '\t']) { format!("'{text}") } else { text.clone() };
                if disarmed.contains([',', '"', '\n', '\r']) {
                    format!("\"{}\"", disarmed.replace('"', "\"\""))
                } else {
                    disarmed
                }
            }
        }
    }
}

pub(super) fn schema(columns: &[Column]) -> Schema {
    let field = |column: &Column| {
        let kind = match column.kind {
            Kind::Text => DataType::Utf8,
            Kind::Whole => DataType::UInt64,
            Kind::Number => DataType::Float64,
        };
        Field::new(column.name, kind, true)
    };
    Schema::new(columns.iter().map(field).collect::<Vec<_>>())
}

/// One column of all rows; a cell of another kind is missing.
pub(super) fn array(column: &Column, place: usize, rows: &[Vec<Value>]) -> ArrayRef {
    let cells = rows.iter().map(|row| row.get(place).unwrap_or(&Value::Missing));
    match column.kind {
        Kind::Text => Arc::new(
            cells
                .map(|cell| if let Value::Text(text) = cell { Some(text.as_str()) } else { None })
                .collect::<StringArray>(),
        ),
        Kind::Whole => Arc::new(
            cells
                .map(|cell| if let Value::Whole(number) = cell { Some(*number) } else { None })
                .collect::<UInt64Array>(),
        ),
        Kind::Number => Arc::new(
            cells
                .map(|cell| if let Value::Number(number) = cell { Some(*number) } else { None })
                .collect::<Float64Array>(),
        ),
    }
}
