//! Whether one value of the context meets one condition. Percentage splits also need the segment.

use std::cmp::Ordering;
use std::collections::BTreeSet;

use regex::{Regex, RegexBuilder};
use serde_json::Value;

use super::value::{ContextValue, python_text, read_float};
use super::{ConditionValue, Operator, percentage};

/// Larger expressions match nothing: they would take long to compile.
const REGEX_BYTES_MAX: usize = 1 << 20;

/// A comparand, with what takes long to read in it read once.
#[derive(Clone, Debug)]
pub(super) enum Comparand {
    Plain(ConditionValue),
    /// `None` is an expression that cannot be used.
    Regex(Option<Regex>),
    List(BTreeSet<String>),
}

impl Comparand {
    pub(super) fn new(operator: Operator, value: &ConditionValue) -> Self {
        match (operator, value) {
            (Operator::Regex, ConditionValue::Text(expression)) => Self::Regex(compile(expression)),
            (Operator::In, value) => Self::List(list_of(value).into_iter().collect()),
            (_, value) => Self::Plain(value.clone()),
        }
    }

    /// Like [`holds`].
    pub(super) fn holds(&self, operator: Operator, value: Option<&ContextValue>, segment_key: &str) -> bool {
        match (self, value) {
            (Self::Plain(comparand), value) => holds(operator, value, comparand, segment_key),
            (_, None) => false,
            (Self::Regex(regex), Some(value)) => regex.as_ref().is_some_and(|it| begins_with(it, &value.to_text())),
            (Self::List(items), Some(value)) => listed_text(value).is_some_and(|text| items.contains(&text)),
        }
    }
}

/// A condition never holds that cannot be read, not even a negative one.
pub(super) fn holds(
    operator: Operator,
    value: Option<&ContextValue>,
    comparand: &ConditionValue,
    segment_key: &str,
) -> bool {
    let Some(value) = value else { return operator == Operator::IsNotSet };
    match operator {
        Operator::IsSet => return true,
        Operator::IsNotSet => return false,
        Operator::In => return is_in(value, comparand),
        _ => {}
    }
    let Some(comparand) = comparand.as_text() else { return false };
    let is = |accepted: fn(Ordering) -> bool| value.compare(comparand).is_some_and(accepted);
    match operator {
        Operator::Equal => is(Ordering::is_eq),
        Operator::NotEqual => is(Ordering::is_ne),
        Operator::GreaterThan => is(Ordering::is_gt),
        Operator::GreaterThanInclusive => is(Ordering::is_ge),
        Operator::LessThan => is(Ordering::is_lt),
        Operator::LessThanInclusive => is(Ordering::is_le),
        Operator::Contains => matches!(value, ContextValue::Text(text) if text.contains(comparand)),
        Operator::NotContains => matches!(value, ContextValue::Text(text) if !text.contains(comparand)),
        Operator::Regex => compile(comparand).is_some_and(|regex| begins_with(&regex, &value.to_text())),
        Operator::Modulo => value.has_remainder(comparand),
        Operator::PercentageSplit => {
            read_float(comparand).is_some_and(|limit| percentage(&[segment_key, &value.to_text()]) <= limit)
        }
        Operator::IsSet | Operator::IsNotSet | Operator::In => false,
    }
}

fn is_in(value: &ContextValue, comparand: &ConditionValue) -> bool {
    listed_text(value).is_some_and(|text| list_of(comparand).contains(&text))
}

/// Texts and integers only: a truth value is never `1`, and a float never its text.
fn listed_text(value: &ContextValue) -> Option<String> {
    match value {
        ContextValue::Integer(integer) => Some(integer.to_string()),
        ContextValue::Text(text) => Some(text.clone()),
        ContextValue::Boolean(_) | ContextValue::Float(_) => None,
    }
}

fn list_of(comparand: &ConditionValue) -> Vec<String> {
    match comparand {
        ConditionValue::Null => Vec::new(),
        ConditionValue::List(items) => items.clone(),
        ConditionValue::Text(list) => {
            // Only what begins like a list is tried as one, and what then is none is read as text with commas.
            let json: Option<Vec<Value>> = list.starts_with('[').then(|| serde_json::from_str(list).ok()).flatten();
            match json {
                Some(items) => items.iter().map(python_text).collect(),
                None => list.split(',').map(str::to_owned).collect(),
            }
        }
    }
}

fn compile(expression: &str) -> Option<Regex> {
    RegexBuilder::new(expression).size_limit(REGEX_BYTES_MAX).dfa_size_limit(REGEX_BYTES_MAX).build().ok()
}

/// Some match begins at the start exactly when the leftmost one does.
fn begins_with(regex: &Regex, text: &str) -> bool {
    regex.find(text).is_some_and(|found| found.start() == 0)
}
