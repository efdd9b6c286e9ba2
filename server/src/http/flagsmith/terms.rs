//! A flag in Flagsmith's terms: what a feature is called, what its value is, who is its control group.

use liftgate_evaluator::{CONTROL, Dialect, Flag, FlagKind, Serve};
use serde_json::Value;

/// The name that a flag has as a feature: keys have few characters, features of other systems any.
pub fn feature_name(flag: &Flag) -> &str {
    match (flag.dialect, &flag.name) {
        (Dialect::Flagsmith, Some(name)) => name,
        _ => flag.key.as_str(),
    }
}

/// The value of a variation as this protocol has it: text, an integer, a truth value or null. A boolean flag has none:
/// it is on or off.
pub fn feature_value(kind: FlagKind, value: &Value) -> Value {
    match value {
        _ if kind == FlagKind::Boolean => Value::Null,
        Value::Number(number) if !number.is_i64() && !number.is_u64() => number.to_string().into(),
        Value::Array(_) | Value::Object(_) => value.to_string().into(),
        other => other.clone(),
    }
}

/// The variation that units of a split or ramp have who get nothing new.
pub fn control_of<'f>(flag: &'f Flag, serve: &'f Serve) -> Option<&'f str> {
    match serve {
        Serve::Variation(_) => None,
        Serve::Ramp(ramp) => Some(&ramp.control),
        Serve::Split(split) => {
            let last = split.ranges.last().map(|range| range.variation.as_str());
            match flag.dialect {
                Dialect::Flagsmith => {
                    let named = || flag.variation(CONTROL).map(|it| it.key.as_str());
                    last.filter(|key| key.starts_with(CONTROL)).or_else(named).or(last)
                }
                Dialect::Native => None,
            }
        }
    }
}
