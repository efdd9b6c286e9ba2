//! A value of the context as the operators see it, and how comparands are read: as Python's `int()`, `float()` and
//! `str()` do, since Flagsmith's engine is written in it and the texts are hashed.

use std::cmp::Ordering;

use semver::Version;
use serde_json::{Number, Value};

const SEMVER_SUFFIX: &str = ":semver";

/// A scalar that is not null. Text that looks like a number is one.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum ContextValue {
    Boolean(bool),
    Integer(i128),
    Float(f64),
    Text(String),
}

impl ContextValue {
    /// `None` for null, lists and objects.
    pub(super) fn new(value: &Value) -> Option<Self> {
        match value {
            Value::Bool(boolean) => Some(Self::Boolean(*boolean)),
            Value::Number(number) => Some(Self::from_number(number)),
            Value::String(text) => Some(Self::from_text(text)),
            Value::Null | Value::Array(_) | Value::Object(_) => None,
        }
    }

    /// `-?[0-9]+` is an integer and `-?[0-9]+\.[0-9]+` a float; an integer of more than 38 digits stays text.
    pub(super) fn from_text(text: &str) -> Self {
        let is_digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
        let unsigned = text.strip_prefix('-').unwrap_or(text);
        let number = match unsigned.split_once('.') {
            None if is_digits(unsigned) => text.parse().ok().map(Self::Integer),
            Some((whole, fraction)) if is_digits(whole) && is_digits(fraction) => text.parse().ok().map(Self::Float),
            _ => None,
        };
        number.unwrap_or_else(|| Self::Text(text.to_owned()))
    }

    fn from_number(number: &Number) -> Self {
        match number.as_i128() {
            Some(integer) => Self::Integer(integer),
            None => Self::Float(number.as_f64().unwrap_or(f64::MAX)),
        }
    }

    /// The text that is hashed and searched.
    pub(super) fn to_text(&self) -> String {
        match self {
            Self::Boolean(true) => "True".to_owned(),
            Self::Boolean(false) => "False".to_owned(),
            Self::Integer(integer) => integer.to_string(),
            Self::Float(float) => float_text(*float),
            Self::Text(text) => text.clone(),
        }
    }

    /// How this compares with a comparand that is read as the same type; `None` when it cannot be.
    pub(super) fn compare(&self, comparand: &str) -> Option<Ordering> {
        match self {
            Self::Boolean(boolean) => Some(boolean.cmp(&!matches!(comparand, "False" | "false"))),
            Self::Integer(integer) => Some(integer.cmp(&read_integer(comparand)?)),
            Self::Float(float) => float.partial_cmp(&read_float(comparand)?),
            Self::Text(text) => match comparand.strip_suffix(SEMVER_SUFFIX) {
                Some(version) => Some(Version::parse(text).ok()?.cmp_precedence(&Version::parse(version).ok()?)),
                None => Some(text.as_str().cmp(comparand)),
            },
        }
    }

    /// The remainder, with the sign of the divisor, is the one asked for: `divisor|remainder`.
    pub(super) fn has_remainder(&self, comparand: &str) -> bool {
        let value = match self {
            Self::Integer(integer) => *integer as f64,
            Self::Float(float) => *float,
            Self::Boolean(_) | Self::Text(_) => return false,
        };
        let Some((divisor, remainder)) = comparand.split_once('|') else { return false };
        let (Some(divisor), Some(remainder)) = (read_float(divisor), read_float(remainder)) else { return false };
        let truncated = value % divisor; // NaN for a divisor of 0, equal to nothing
        let is_other_side = truncated != 0.0 && (truncated < 0.0) != (divisor < 0.0);
        remainder == if is_other_side { truncated + divisor } else { truncated }
    }
}

/// What `int()` reads: blanks around, a sign, digits with single underscores between them.
fn read_integer(text: &str) -> Option<i128> {
    without_underscores(text.trim())?.parse().ok()
}

/// What `float()` reads.
pub(super) fn read_float(text: &str) -> Option<f64> {
    without_underscores(text.trim())?.parse().ok()
}

/// `None` when an underscore does not stand between two digits.
fn without_underscores(text: &str) -> Option<String> {
    let bytes = text.as_bytes();
    let is_digit = |position: usize| bytes.get(position).is_some_and(u8::is_ascii_digit);
    let stands_well = |position: usize| position > 0 && is_digit(position - 1) && is_digit(position + 1);
    let fits = text.match_indices('_').all(|(position, _)| stands_well(position));
    fits.then(|| text.replace('_', ""))
}

/// A total order, exact for integers: floats first, and integers that round to the same float among themselves.
pub(super) fn number_order(left: &Number, right: &Number) -> Ordering {
    let float = |number: &Number| number.as_f64().unwrap_or(f64::MAX) + 0.0;
    float(left).total_cmp(&float(right)).then_with(|| left.as_i128().cmp(&right.as_i128()))
}

/// The text of a number as Python prints it.
pub(super) fn number_text(number: &Number) -> String {
    ContextValue::from_number(number).to_text()
}

/// The text of any value as Python prints it; lists and objects, which no list of comparands needs, as JSON.
pub(super) fn python_text(value: &Value) -> String {
    match value {
        Value::Null => "None".to_owned(),
        Value::Bool(boolean) => ContextValue::Boolean(*boolean).to_text(),
        Value::Number(number) => number_text(number),
        Value::String(text) => text.clone(),
        Value::Array(_) | Value::Object(_) => value.to_string(),
    }
}

/// Rust and Python print the same shortest digits and change to exponents at the same sizes; only the exponent's own
/// form differs (`1e16` and `1e+16`, `1e-5` and `1e-05`).
fn float_text(float: f64) -> String {
    let text = format!("{float:?}");
    let Some((digits, exponent)) = text.split_once('e') else { return text };
    let (sign, exponent) = exponent.strip_prefix('-').map_or(('+', exponent), |exponent| ('-', exponent));
    format!("{digits}e{sign}{exponent:0>2}")
}
