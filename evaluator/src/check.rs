//! A predicate made ready for evaluation: typed comparand, compiled expression, parsed version. A comparand that
//! cannot be used is an error here, once, and not at every evaluation.

use std::cmp::Ordering;

use regex::{Regex, RegexBuilder};
use semver::Version;
use serde_json::Value;

use crate::context::{AttributeRef, Seen};
use crate::scalar::{Number, Scalar, ScalarSet};
use crate::{Context, Op, Predicate, Timestamp};

/// The largest compiled regular expression; the crate `regex` takes linear time, so size is what is left to bound.
const REGEX_BYTES_MAX: usize = 1 << 20;

#[derive(Debug)]
pub(crate) struct Check {
    attribute: AttributeRef,
    negated: bool,
    test: Test,
}

#[derive(Debug)]
enum Test {
    Exists,
    Equals(Scalar),
    In(ScalarSet),
    Contains(Box<[Scalar]>),
    StartsWith(Box<[Box<str>]>),
    EndsWith(Box<[Box<str>]>),
    Matches(Regex),
    Number(Accepted, Number),
    Time(Accepted, Timestamp),
    Semver(Accepted, Version),
}

/// The orderings of attribute against comparand that pass.
#[derive(Copy, Clone, Debug)]
enum Accepted {
    Equal,
    Greater,
    GreaterOrEqual,
    Less,
    LessOrEqual,
}

impl Accepted {
    fn accepts(self, ordering: Ordering) -> bool {
        match self {
            Self::Equal => ordering.is_eq(),
            Self::Greater => ordering.is_gt(),
            Self::GreaterOrEqual => ordering.is_ge(),
            Self::Less => ordering.is_lt(),
            Self::LessOrEqual => ordering.is_le(),
        }
    }
}

impl Check {
    /// Compiles a predicate, or says what is wrong with its `value`.
    pub(crate) fn compile(predicate: &Predicate) -> Result<Self, String> {
        let Predicate { attribute, op, value } = predicate;
        let test = match op {
            Op::Exists | Op::NotExists => no_value(*op, value)?,
            Op::Equals | Op::NotEquals => Test::Equals(scalar(*op, value)?),
            Op::In | Op::NotIn => Test::In(ScalarSet::new(list(*op, value)?)),
            Op::Contains | Op::NotContains => Test::Contains(one_or_list(*op, value)?.into()),
            Op::StartsWith => Test::StartsWith(texts(*op, value)?),
            Op::EndsWith => Test::EndsWith(texts(*op, value)?),
            Op::Matches => Test::Matches(expression(value)?),
            Op::Gt => bound(*op, Accepted::Greater, value)?,
            Op::Gte => bound(*op, Accepted::GreaterOrEqual, value)?,
            Op::Lt => bound(*op, Accepted::Less, value)?,
            Op::Lte => bound(*op, Accepted::LessOrEqual, value)?,
            Op::SemverEq => Test::Semver(Accepted::Equal, version(*op, value)?),
            Op::SemverGt => Test::Semver(Accepted::Greater, version(*op, value)?),
            Op::SemverGte => Test::Semver(Accepted::GreaterOrEqual, version(*op, value)?),
            Op::SemverLt => Test::Semver(Accepted::Less, version(*op, value)?),
            Op::SemverLte => Test::Semver(Accepted::LessOrEqual, version(*op, value)?),
        };
        let negated = matches!(op, Op::NotEquals | Op::NotIn | Op::NotContains | Op::NotExists);
        Ok(Self { attribute: AttributeRef::new(attribute), negated, test })
    }

    #[inline]
    pub(crate) fn is_met(&self, context: &Context) -> bool {
        let met = match self.attribute.read(context) {
            None => false,
            Some(Seen::Text(text)) => self.test.passes_text(text),
            Some(Seen::Value(value)) => self.test.passes_value(value),
        };
        met != self.negated
    }
}

impl Test {
    #[inline]
    fn passes_text(&self, text: &str) -> bool {
        match self {
            Self::Exists => true,
            Self::Equals(Scalar::Text(wanted)) => **wanted == *text,
            Self::Equals(_) | Self::Number(..) => false,
            Self::In(set) => set.has_text(text),
            Self::Contains(parts) => {
                parts.iter().any(|part| matches!(part, Scalar::Text(part) if text.contains(&**part)))
            }
            Self::StartsWith(starts) => starts.iter().any(|start| text.starts_with(&**start)),
            Self::EndsWith(ends) => ends.iter().any(|end| text.ends_with(&**end)),
            Self::Matches(regex) => regex.is_match(text),
            Self::Time(accepted, bound) => text.parse().is_ok_and(|time: Timestamp| accepted.accepts(time.cmp(bound))),
            Self::Semver(accepted, bound) => {
                parse_version(text).is_some_and(|version| accepted.accepts(version.cmp_precedence(bound)))
            }
        }
    }

    #[inline]
    fn passes_value(&self, value: &Value) -> bool {
        match (self, value) {
            (Self::Exists, _) => true,
            (Self::Equals(wanted), value) => wanted.equals(value),
            (Self::In(set), value) => set.has(value),
            (Self::Contains(wanted), Value::Array(elements)) => {
                elements.iter().any(|element| wanted.iter().any(|one| one.equals(element)))
            }
            (Self::Number(accepted, bound), Value::Number(number)) => Number::new(number)
                .and_then(|number| number.compare(*bound))
                .is_some_and(|ordering| accepted.accepts(ordering)),
            _ => false,
        }
    }
}

fn no_value(op: Op, value: &Value) -> Result<Test, String> {
    if value.is_null() { Ok(Test::Exists) } else { Err(format!("`{op}` takes no value")) }
}

fn scalar(op: Op, value: &Value) -> Result<Scalar, String> {
    Scalar::new(value).ok_or_else(|| format!("`{op}` needs text, a number, true or false"))
}

fn list(op: Op, value: &Value) -> Result<Vec<Scalar>, String> {
    let refused = || format!("`{op}` needs a list of texts, numbers, true or false, not empty");
    match value {
        Value::Array(elements) if !elements.is_empty() => {
            elements.iter().map(|element| Scalar::new(element).ok_or_else(refused)).collect()
        }
        _ => Err(refused()),
    }
}

fn one_or_list(op: Op, value: &Value) -> Result<Vec<Scalar>, String> {
    if value.is_array() { list(op, value) } else { Ok(vec![scalar(op, value)?]) }
}

fn texts(op: Op, value: &Value) -> Result<Box<[Box<str>]>, String> {
    one_or_list(op, value)?
        .into_iter()
        .map(|scalar| match scalar {
            Scalar::Text(text) => Ok(text),
            _ => Err(format!("`{op}` needs text, or a list of texts")),
        })
        .collect()
}

fn expression(value: &Value) -> Result<Regex, String> {
    let Value::String(pattern) = value else {
        return Err("`matches` needs a regular expression as text".to_owned());
    };
    RegexBuilder::new(pattern).size_limit(REGEX_BYTES_MAX).build().map_err(|error| {
        // The lines before the last draw the pattern with a marker, which a one-line message cannot.
        let text = error.to_string();
        let reason = text.lines().last().unwrap_or_default();
        let reason = reason.trim_start_matches("error: ");
        format!("`{pattern}` is not a usable regular expression: {reason}")
    })
}

fn bound(op: Op, accepted: Accepted, value: &Value) -> Result<Test, String> {
    let refused = || format!("`{op}` needs a number, or an RFC 3339 time");
    match value {
        Value::Number(number) => Number::new(number).map(|number| Test::Number(accepted, number)).ok_or_else(refused),
        Value::String(text) => text.parse().map(|time| Test::Time(accepted, time)).map_err(|_| refused()),
        _ => Err(refused()),
    }
}

fn version(op: Op, value: &Value) -> Result<Version, String> {
    value
        .as_str()
        .and_then(parse_version)
        .ok_or_else(|| format!("`{op}` needs a semantic version as text, such as `1.2.3`"))
}

/// Semantic Versioning 2.0, with an optional leading `v` and, since applications report so, without patch or minor.
fn parse_version(text: &str) -> Option<Version> {
    let text = text.strip_prefix('v').unwrap_or(text);
    if let Ok(version) = Version::parse(text) {
        return Some(version);
    }
    let number = |text: &str| -> Option<u64> {
        let is_digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        if is_digits { text.parse().ok() } else { None }
    };
    let (major, minor) = text.split_once('.').unwrap_or((text, "0"));
    Some(Version::new(number(major)?, number(minor)?, 0))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn met(op: Op, value: Value, attribute: Value) -> bool {
        let predicate = Predicate { attribute: "a".to_owned(), op, value };
        let context = Context::default().with("a", attribute);
        Check::compile(&predicate).unwrap().is_met(&context)
    }

    #[test]
    fn operators_compare_as_documented() {
        let rows = [
            (Op::Equals, json!("DE"), json!("DE"), true),
            (Op::Equals, json!("DE"), json!("de"), false),
            (Op::Equals, json!(5), json!(5.0), true),
            (Op::Equals, json!(5), json!("5"), false),
            (Op::Equals, json!(true), json!(true), true),
            (Op::NotEquals, json!("DE"), json!(7), true),
            (Op::In, json!(["DE", "AT", 1]), json!("AT"), true),
            (Op::In, json!(["DE", "AT", 1]), json!(1), true),
            (Op::In, json!(["DE"]), json!(["DE"]), false),
            (Op::NotIn, json!(["DE"]), json!("AT"), true),
            (Op::Contains, json!("@acme."), json!("a@acme.io"), true),
            (Op::Contains, json!("beta"), json!(["alpha", "beta"]), true),
            (Op::Contains, json!("bet"), json!(["alpha", "beta"]), false),
            (Op::Contains, json!([7, 8]), json!([1, 8]), true),
            (Op::NotContains, json!("x"), json!("abc"), true),
            (Op::StartsWith, json!(["a", "b"]), json!("bc"), true),
            (Op::StartsWith, json!("c"), json!("bc"), false),
            (Op::EndsWith, json!("c"), json!("bc"), true),
            (Op::Matches, json!("^u-\\d+$"), json!("u-42"), true),
            (Op::Matches, json!("^u-\\d+$"), json!("xu-42"), false),
            (Op::Gt, json!(5), json!(5), false),
            (Op::Gte, json!(5), json!(5.0), true),
            (Op::Lt, json!(5.5), json!(5), true),
            (Op::Lte, json!(5), json!("4"), false),
            (Op::Gt, json!("2026-01-01T00:00:00Z"), json!("2026-01-01T00:30:00+01:00"), false),
            (Op::Lt, json!("2026-01-01T00:00:00Z"), json!("2025-12-31T23:59:59Z"), true),
            (Op::Lt, json!("2026-01-01T00:00:00Z"), json!("yesterday"), false),
            (Op::Exists, json!(null), json!(false), true),
            (Op::Exists, json!(null), json!(null), false),
            (Op::NotExists, json!(null), json!(null), true),
            (Op::SemverEq, json!("1.2.3"), json!("v1.2.3+build"), true),
            (Op::SemverGt, json!("1.9.0"), json!("1.10.0"), true),
            (Op::SemverLt, json!("1.0.0"), json!("1.0.0-rc.1"), true),
            (Op::SemverGte, json!("17.4"), json!("17.4.0"), true),
            (Op::SemverLte, json!("2"), json!("1.9"), true),
            (Op::SemverLt, json!("2.0.0"), json!("one"), false),
        ];
        for (op, value, attribute, expected) in rows {
            let shown = format!("{attribute} {op} {value}");
            assert_eq!(met(op, value, attribute), expected, "{shown}");
        }
    }

    #[test]
    fn an_absent_attribute_meets_only_the_negated_operators() {
        for (op, value, expected) in [
            (Op::Equals, json!("x"), false),
            (Op::NotEquals, json!("x"), true),
            (Op::In, json!(["x"]), false),
            (Op::NotIn, json!(["x"]), true),
            (Op::NotContains, json!("x"), true),
            (Op::Gte, json!(0), false),
            (Op::Exists, json!(null), false),
            (Op::NotExists, json!(null), true),
        ] {
            let check = Check::compile(&Predicate { attribute: "a".to_owned(), op, value }).unwrap();
            assert_eq!(check.is_met(&Context::default()), expected, "{op}");
        }
    }

    #[test]
    fn the_targeting_key_is_an_attribute() {
        let predicate = Predicate { attribute: "targetingKey".to_owned(), op: Op::StartsWith, value: json!("qa-") };
        let check = Check::compile(&predicate).unwrap();
        assert!(check.is_met(&Context::user("qa-1")));
        assert!(check.is_met(&Context::default().with("targetingKey", "qa-1")));
        assert!(!check.is_met(&Context::user("u-1").with("targetingKey", "qa-1")));
    }

    #[test]
    fn unusable_comparands_are_refused_with_a_reason() {
        for (op, value, part) in [
            (Op::Equals, json!(null), "needs text, a number"),
            (Op::In, json!("DE"), "needs a list"),
            (Op::In, json!([]), "not empty"),
            (Op::In, json!([["DE"]]), "needs a list"),
            (Op::StartsWith, json!(5), "needs text"),
            (Op::Matches, json!("("), "not a usable regular expression"),
            (Op::Matches, json!("(a{1000}){1000}"), "not a usable regular expression"),
            (Op::Gt, json!("5"), "needs a number, or an RFC 3339 time"),
            (Op::SemverGt, json!("1.2.3.4"), "needs a semantic version"),
            (Op::SemverGt, json!(1), "needs a semantic version"),
            (Op::Exists, json!(true), "takes no value"),
        ] {
            let predicate = Predicate { attribute: "a".to_owned(), op, value };
            let message = Check::compile(&predicate).unwrap_err();
            assert!(message.contains(part), "{message}");
        }
    }
}
