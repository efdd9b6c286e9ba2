//! A predicate made ready for evaluation: typed comparand, compiled expression, parsed version. A comparand that
//! cannot be used is an error here, once, and not at every evaluation.

mod comparand;
mod networks;
#[cfg(test)]
mod tests;

use std::cmp::Ordering;

use regex::Regex;
use semver::Version;
use serde_json::Value;

use self::comparand::Comparand;
use self::networks::Networks;
use crate::brief::{brief, brief_text};
use crate::bucket::bucket;
use crate::context::{AttributeRef, Seen, Subject};
use crate::explanation::ExplainedPredicate;
use crate::scalar::{Number, Scalar, ScalarSet, fold_case, folded};
use crate::time_text::{elapsed_days, parse_time};
use crate::{Op, Predicate, Share, Timestamp};

#[derive(Clone, Debug)]
pub(crate) struct Check {
    attribute: AttributeRef,
    negated: bool,
    /// Attributes are compared in lower case; the comparands are already.
    folds_case: bool,
    test: Test,
    written: Box<Written>,
}

/// What explanations show of the predicate.
#[derive(Clone, Debug)]
struct Written {
    op: Op,
    value: Value,
    ignore_case: bool,
}

#[derive(Clone, Debug)]
enum Test {
    Exists,
    Equals(Scalar),
    In(ScalarSet),
    Contains(Box<[Scalar]>),
    HasAny(ScalarSet),
    HasAll(Box<[Scalar]>),
    StartsWith(Box<[Box<str>]>),
    EndsWith(Box<[Box<str>]>),
    Matches(Regex),
    Number(Accepted, Number),
    Time(Accepted, Timestamp),
    DaysSince(Accepted, f64),
    Semver(Accepted, Version),
    Network(Networks),
    /// What is hashed before the unit id, and how many are in.
    Percentage(Box<str>, Share),
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

/// What is wrong with a predicate.
#[derive(Debug)]
pub(crate) struct Refusal {
    /// The field of the predicate.
    pub(crate) field: &'static str,
    pub(crate) message: String,
}

impl Check {
    /// Compiles a predicate, or says what is wrong with it.
    pub(crate) fn compile(predicate: &Predicate) -> Result<Self, Refusal> {
        let Predicate { attribute, op, value, ignore_case, salt } = predicate;
        let refuse = |field, message| Err(Refusal { field, message });
        let folds_case = *ignore_case;
        if folds_case && !op.compares_text() {
            return refuse("ignore_case", format!("`{op}` does not compare text: leave `ignore_case` out"));
        }
        match salt {
            Some(_) if *op != Op::Percentage => {
                return refuse("salt", format!("`{op}` has no use for a salt: leave it out"));
            }
            None if *op == Op::Percentage => {
                return refuse(
                    "salt",
                    "`percentage` needs a salt: text that decides who is in, such as the rule's id".to_owned(),
                );
            }
            Some(salt) if salt.is_empty() => return refuse("salt", "a salt is not empty".to_owned()),
            Some(salt) if salt.contains('\0') => return refuse("salt", "a salt has no NUL character".to_owned()),
            _ => {}
        }
        let comparand = Comparand { op: *op, value, folds_case };
        let test = Test::compile(comparand, salt.as_deref().unwrap_or_default())
            .map_err(|message| Refusal { field: "value", message })?;
        Ok(Self {
            attribute: AttributeRef::new(attribute),
            negated: op.is_complement(),
            // An expression ignores case by itself.
            folds_case: folds_case && *op != Op::Matches,
            test,
            written: Box::new(Written { op: *op, value: brief(value), ignore_case: folds_case }),
        })
    }

    /// Whether it has another answer at another time.
    pub(crate) fn needs_time(&self) -> bool {
        matches!(self.test, Test::DaysSince(..))
    }

    #[inline]
    pub(crate) fn is_met(&self, subject: Subject<'_>) -> bool {
        let met = match self.attribute.read(subject.context) {
            None => false,
            Some(seen) if self.folds_case => self.passes_folded(seen, subject.now),
            Some(Seen::Text(text)) => self.test.passes_text(text, subject.now),
            Some(Seen::Value(value)) => self.test.passes_value(value, subject.now),
        };
        met != self.negated
    }

    /// Whether it is met, with what was compared.
    pub(crate) fn explain(&self, subject: Subject<'_>) -> ExplainedPredicate<'_> {
        let seen = self.attribute.read(subject.context);
        let bucket = match (&self.test, seen) {
            (Test::Percentage(salt, _), Some(Seen::Text(text))) if !text.is_empty() => Some(bucket(salt, text)),
            _ => None,
        };
        let had = seen.map(|seen| match seen {
            Seen::Text(text) => Value::String(brief_text(text)),
            Seen::Value(value) => brief(value),
        });
        ExplainedPredicate {
            met: self.is_met(subject),
            attribute: self.attribute.name(),
            op: self.written.op,
            value: &self.written.value,
            ignore_case: self.written.ignore_case,
            had,
            bucket,
        }
    }

    #[inline(never)]
    fn passes_folded(&self, seen: Seen<'_>, now: Timestamp) -> bool {
        match seen {
            Seen::Text(text) => self.test.passes_text(&fold_case(text), now),
            Seen::Value(value) => self.test.passes_value(&folded(value), now),
        }
    }
}

impl Test {
    fn compile(comparand: Comparand<'_>, salt: &str) -> Result<Self, String> {
        Ok(match comparand.op {
            Op::Exists | Op::NotExists => comparand.nothing().map(|()| Self::Exists)?,
            Op::Equals | Op::NotEquals => Self::Equals(comparand.scalar()?),
            Op::In | Op::NotIn => Self::In(ScalarSet::new(comparand.list()?)),
            Op::Contains | Op::NotContains => Self::Contains(comparand.one_or_list()?.into()),
            Op::HasAny | Op::HasNone => Self::HasAny(ScalarSet::new(comparand.one_or_list()?)),
            Op::HasAll => Self::HasAll(comparand.short_list()?.into()),
            Op::StartsWith => Self::StartsWith(comparand.texts()?),
            Op::EndsWith => Self::EndsWith(comparand.texts()?),
            Op::Matches => Self::Matches(comparand.expression()?),
            Op::Gt => comparand.bound(Accepted::Greater)?,
            Op::Gte => comparand.bound(Accepted::GreaterOrEqual)?,
            Op::Lt => comparand.bound(Accepted::Less)?,
            Op::Lte => comparand.bound(Accepted::LessOrEqual)?,
            Op::DaysSinceGt => Self::DaysSince(Accepted::Greater, comparand.days()?),
            Op::DaysSinceGte => Self::DaysSince(Accepted::GreaterOrEqual, comparand.days()?),
            Op::DaysSinceLt => Self::DaysSince(Accepted::Less, comparand.days()?),
            Op::DaysSinceLte => Self::DaysSince(Accepted::LessOrEqual, comparand.days()?),
            Op::SemverEq => Self::Semver(Accepted::Equal, comparand.version()?),
            Op::SemverGt => Self::Semver(Accepted::Greater, comparand.version()?),
            Op::SemverGte => Self::Semver(Accepted::GreaterOrEqual, comparand.version()?),
            Op::SemverLt => Self::Semver(Accepted::Less, comparand.version()?),
            Op::SemverLte => Self::Semver(Accepted::LessOrEqual, comparand.version()?),
            Op::InCidr | Op::NotInCidr => Self::Network(comparand.networks()?),
            // A line of its own: whoever is in here is neither early in a ramp nor in a certain part of a split.
            Op::Percentage => Self::Percentage(format!("{salt}\0condition").into(), comparand.share()?),
        })
    }

    #[inline]
    fn passes_text(&self, text: &str, now: Timestamp) -> bool {
        match self {
            Self::Exists => true,
            Self::Equals(Scalar::Text(wanted)) => **wanted == *text,
            Self::Equals(_) | Self::Number(..) | Self::HasAny(_) | Self::HasAll(_) => false,
            Self::In(set) => set.has_text(text),
            Self::Contains(parts) => {
                parts.iter().any(|part| matches!(part, Scalar::Text(part) if text.contains(&**part)))
            }
            Self::StartsWith(starts) => starts.iter().any(|start| text.starts_with(&**start)),
            Self::EndsWith(ends) => ends.iter().any(|end| text.ends_with(&**end)),
            Self::Matches(regex) => regex.is_match(text),
            Self::Time(accepted, bound) => parse_time(text).is_some_and(|time| accepted.accepts(time.cmp(bound))),
            Self::DaysSince(accepted, days) => {
                parse_time(text).is_some_and(|time| accepts_days(*accepted, time, now, *days))
            }
            Self::Semver(accepted, bound) => {
                parse_version(text).is_some_and(|version| accepted.accepts(version.cmp_precedence(bound)))
            }
            Self::Network(networks) => text.parse().is_ok_and(|address| networks.contain(address)),
            Self::Percentage(salt, share) => !text.is_empty() && share.contains(bucket(salt, text)),
        }
    }

    #[inline]
    fn passes_value(&self, value: &Value, now: Timestamp) -> bool {
        match (self, value) {
            (Self::Exists, _) => true,
            (Self::Equals(wanted), value) => wanted.equals(value),
            (Self::In(set), value) => set.has(value),
            (Self::Contains(wanted), Value::Array(elements)) => {
                elements.iter().any(|element| wanted.iter().any(|one| one.equals(element)))
            }
            (Self::HasAny(set), Value::Array(elements)) => elements.iter().any(|element| set.has(element)),
            (Self::HasAll(wanted), Value::Array(elements)) => {
                wanted.iter().all(|one| elements.iter().any(|element| one.equals(element)))
            }
            (Self::Number(accepted, bound), Value::Number(number)) => Number::new(number)
                .and_then(|number| number.compare(*bound))
                .is_some_and(|ordering| accepted.accepts(ordering)),
            (Self::DaysSince(accepted, days), Value::Number(millis)) => {
                time_of_millis(millis).is_some_and(|time| accepts_days(*accepted, time, now, *days))
            }
            _ => false,
        }
    }
}

fn accepts_days(accepted: Accepted, time: Timestamp, now: Timestamp, days: f64) -> bool {
    elapsed_days(time, now).partial_cmp(&days).is_some_and(|ordering| accepted.accepts(ordering))
}

/// Milliseconds since the epoch; `None` past the ends of [`Timestamp`]. What is finer than a millisecond is dropped.
fn time_of_millis(millis: &serde_json::Number) -> Option<Timestamp> {
    const MICROS_PER_MILLI: i64 = 1_000;
    let whole = match Number::new(millis)? {
        Number::Integer(whole) => whole,
        // A fraction, or far outside: the cast stops at the ends of the type, which the product then refuses.
        Number::Float(float) => float.floor() as i64,
    };
    whole.checked_mul(MICROS_PER_MILLI).map(Timestamp::from_micros)
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
