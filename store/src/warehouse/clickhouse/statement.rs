//! A statement and its parameters. Text that came from people is only ever a parameter.

use std::fmt::Display;

use clickhouse::Client;
use clickhouse::query::Query;

/// SQL under construction, and the values of its parameters.
#[derive(Debug, Default)]
pub(super) struct Parameters {
    values: Vec<Value>,
}

#[derive(Debug, PartialEq)]
enum Value {
    Text(String),
    Texts(Vec<String>),
    Numbers(Vec<u64>),
}

impl Parameters {
    /// The placeholder of a text.
    pub(super) fn text(&mut self, text: impl Into<String>) -> String {
        self.add(Value::Text(text.into()), "String")
    }

    /// The placeholder of an array of texts.
    pub(super) fn texts<T: AsRef<str>>(&mut self, texts: impl IntoIterator<Item = T>) -> String {
        let texts = texts.into_iter().map(|text| text.as_ref().to_owned()).collect();
        self.add(Value::Texts(texts), "Array(String)")
    }

    /// The placeholder of an array of whole numbers.
    pub(super) fn numbers(&mut self, numbers: impl IntoIterator<Item = u64>) -> String {
        self.add(Value::Numbers(numbers.into_iter().collect()), "Array(UInt64)")
    }

    fn add(&mut self, value: Value, kind: &str) -> String {
        let known = self.values.iter().position(|other| *other == value);
        let position = known.unwrap_or_else(|| {
            self.values.push(value);
            self.values.len() - 1
        });
        format!("{{p{position}:{kind}}}")
    }

    /// The query with all parameters.
    pub(super) fn query(&self, client: &Client, sql: &str) -> Query {
        let named = |position: usize| format!("p{position}");
        self.values.iter().enumerate().fold(client.query_raw(sql), |query, (position, value)| match value {
            Value::Text(text) => query.param(&named(position), text),
            Value::Texts(texts) => query.param(&named(position), texts),
            Value::Numbers(numbers) => query.param(&named(position), numbers),
        })
    }
}

/// An array of SQL; `kind` is its type when it is empty.
pub(super) fn array<T: Display>(items: impl IntoIterator<Item = T>, kind: &str) -> String {
    let items: Vec<String> = items.into_iter().map(|item| item.to_string()).collect();
    format!("CAST([{}], 'Array({kind})')", items.join(", "))
}

/// A finite number as SQL that reads back the same.
pub(super) fn float(number: f64) -> String {
    format!("toFloat64('{number:e}')")
}
