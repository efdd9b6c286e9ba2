//! How commands print: a table for people, JSON and CSV for programs.

use clap::ValueEnum;
use serde_json::Value;

/// The form of the output.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, ValueEnum)]
pub enum Output {
    /// Columns for people.
    #[default]
    Table,
    /// The server's answer as it is.
    Json,
    /// Comma-separated values with a header.
    Csv,
}

/// Prints rows in the form asked for; `whole` is what JSON prints.
pub fn print(output: Output, whole: &Value, header: &[&str], rows: &[Vec<String>]) {
    match output {
        Output::Json => println!("{whole:#}"),
        Output::Csv => {
            println!("{}", header.join(","));
            for row in rows {
                println!("{}", row.iter().map(|cell| quoted(cell)).collect::<Vec<_>>().join(","));
            }
        }
        Output::Table => print!("{}", table(header, rows)),
    }
}

/// Columns as wide as their widest cell.
fn table(header: &[&str], rows: &[Vec<String>]) -> String {
    let mut widths: Vec<usize> = header.iter().map(|name| name.chars().count()).collect();
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let line = |cells: Vec<&str>| {
        let padded: Vec<String> = cells.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
        format!("{}\n", padded.join("  ").trim_end())
    };
    let mut text = line(header.to_vec());
    for row in rows {
        text.push_str(&line(row.iter().map(String::as_str).collect()));
    }
    text
}

/// RFC 4180: quotes where needed, quotes doubled.
fn quoted(cell: &str) -> String {
    if cell.contains([',', '"', '\n', '\r']) { format!("\"{}\"", cell.replace('"', "\"\"")) } else { cell.to_owned() }
}

/// The text of a field, or nothing.
pub fn text(value: &Value, name: &str) -> String {
    match &value[name] {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// A number with three significant digits, or a dash.
pub fn number(value: &Value) -> String {
    value.as_f64().map_or_else(|| "-".to_owned(), |number| format!("{number:.4}"))
}

/// A fraction as a signed percentage, or a dash.
pub fn percent(value: &Value) -> String {
    value.as_f64().map_or_else(|| "-".to_owned(), |number| format!("{:+.2} %", number * 100.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_align_and_csv_quotes() {
        let rows = vec![vec!["a".to_owned(), "long cell".to_owned()], vec!["bb".to_owned(), "x".to_owned()]];
        assert_eq!(table(&["n", "value"], &rows), "n   value\na   long cell\nbb  x\n");
        assert_eq!(quoted("say \"hi\", twice"), "\"say \"\"hi\"\", twice\"");
    }
}
