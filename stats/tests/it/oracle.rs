//! Reads the reference values that `tests/fixtures/make_fixtures.py` wrote, and compares with them.

use std::collections::BTreeMap;

/// Numbers by table and row.
pub type Tables = BTreeMap<String, Vec<Vec<String>>>;

/// The tables of a fixture file.
pub fn tables(json: &str) -> Tables {
    serde_json::from_str(json).expect("the fixture is a map of tables of strings")
}

/// A number as it was written, rounded once.
pub fn number(text: &str) -> f64 {
    text.parse().expect("a fixture holds numbers")
}

/// Calls `f` with the inputs of every row and compares with the row's last number.
pub fn check_rows(tables: &Tables, name: &str, tolerance: impl Fn(&[f64]) -> f64, f: impl Fn(&[f64]) -> f64) {
    let rows = &tables[name];
    assert!(!rows.is_empty(), "`{name}` is empty");
    for row in rows {
        let numbers: Vec<f64> = row.iter().map(|text| number(text)).collect();
        let (expected, inputs) = numbers.split_last().expect("a row has a value");
        assert_close(f(inputs), *expected, tolerance(inputs), &format!("{name}{inputs:?}"));
    }
}

/// Relative closeness; infinities must be equal.
#[track_caller]
pub fn assert_close(found: f64, expected: f64, tolerance: f64, what: &str) {
    let is_close = found == expected || (found - expected).abs() <= tolerance * expected.abs();
    assert!(is_close, "{what}: found {found:e}, expected {expected:e}, off by {:e}", (found - expected) / expected);
}
