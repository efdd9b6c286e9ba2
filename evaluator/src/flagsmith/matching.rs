//! Whether one value of the context meets one condition. Percentage splits also need the segment.

use std::cmp::Ordering;

use regex::RegexBuilder;
use serde_json::Value;

use super::value::{ContextValue, python_text, read_float};
use super::{ConditionValue, Operator, percentage};

/// Larger expressions match nothing: they would take long to compile.
const REGEX_BYTES_MAX: usize = 1 << 20;

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
        Operator::Regex => begins_with_match(&value.to_text(), comparand),
        Operator::Modulo => value.has_remainder(comparand),
        Operator::PercentageSplit => {
            read_float(comparand).is_some_and(|limit| percentage(&[segment_key, &value.to_text()]) <= limit)
        }
        Operator::IsSet | Operator::IsNotSet | Operator::In => false,
    }
}

/// Texts and integers only: a truth value is never `1`, and a float never its text.
fn is_in(value: &ContextValue, comparand: &ConditionValue) -> bool {
    let text = match value {
        ContextValue::Integer(integer) => integer.to_string(),
        ContextValue::Text(text) => text.clone(),
        ContextValue::Boolean(_) | ContextValue::Float(_) => return false,
    };
    match comparand {
        ConditionValue::Null => false,
        ConditionValue::List(items) => items.contains(&text),
        ConditionValue::Text(list) => {
            // Only what begins like a list is tried as one, and what then is none is read as text with commas.
            let json: Option<Vec<Value>> = list.starts_with('[').then(|| serde_json::from_str(list).ok()).flatten();
            match json {
                Some(items) => items.iter().any(|item| python_text(item) == text),
                None => list.split(',').any(|item| item == text),
            }
        }
    }
}

/// Some match begins at the start exactly when the leftmost one does.
fn begins_with_match(text: &str, expression: &str) -> bool {
    let regex = RegexBuilder::new(expression).size_limit(REGEX_BYTES_MAX).dfa_size_limit(REGEX_BYTES_MAX).build();
    regex.is_ok_and(|regex| regex.find(text).is_some_and(|found| found.start() == 0))
}
