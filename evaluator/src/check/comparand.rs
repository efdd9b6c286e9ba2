//! The comparand of a predicate, read as what its operator needs; every refusal says what would be right.

use regex::{Regex, RegexBuilder};
use semver::Version;
use serde_json::Value;

use super::networks::Networks;
use super::{Accepted, Test, parse_version};
use crate::scalar::{Number, Scalar, fold_case};
use crate::time_text::parse_time;
use crate::{Op, Share};

/// The largest compiled regular expression; the crate `regex` takes linear time, so size is what is left to bound.
const REGEX_BYTES_MAX: usize = 1 << 20;

/// The most comparands of `has_all`: each is looked for in the whole list.
const HAS_ALL_MAX: usize = 64;

/// What an attribute is compared with, as it is written.
#[derive(Copy, Clone)]
pub(super) struct Comparand<'p> {
    pub(super) op: Op,
    pub(super) value: &'p Value,
    pub(super) folds_case: bool,
}

impl Comparand<'_> {
    pub(super) fn nothing(self) -> Result<(), String> {
        if self.value.is_null() { Ok(()) } else { Err(format!("`{}` takes no value", self.op)) }
    }

    pub(super) fn scalar(self) -> Result<Scalar, String> {
        self.scalar_of(self.value).ok_or_else(|| format!("`{}` needs text, a number, true or false", self.op))
    }

    fn scalar_of(self, value: &Value) -> Option<Scalar> {
        match value {
            Value::String(text) if self.folds_case => Some(Scalar::Text(fold_case(text).into())),
            other => Scalar::new(other),
        }
    }

    pub(super) fn list(self) -> Result<Vec<Scalar>, String> {
        let refused = || format!("`{}` needs a list of texts, numbers, true or false, not empty", self.op);
        match self.value {
            Value::Array(elements) if !elements.is_empty() => {
                elements.iter().map(|element| self.scalar_of(element).ok_or_else(refused)).collect()
            }
            _ => Err(refused()),
        }
    }

    pub(super) fn one_or_list(self) -> Result<Vec<Scalar>, String> {
        if self.value.is_array() { self.list() } else { Ok(vec![self.scalar()?]) }
    }

    pub(super) fn short_list(self) -> Result<Vec<Scalar>, String> {
        let list = self.one_or_list()?;
        if list.len() <= HAS_ALL_MAX {
            Ok(list)
        } else {
            Err(format!("`{}` takes at most {HAS_ALL_MAX} values", self.op))
        }
    }

    pub(super) fn texts(self) -> Result<Box<[Box<str>]>, String> {
        self.one_or_list()?
            .into_iter()
            .map(|scalar| match scalar {
                Scalar::Text(text) => Ok(text),
                _ => Err(format!("`{}` needs text, or a list of texts", self.op)),
            })
            .collect()
    }

    pub(super) fn expression(self) -> Result<Regex, String> {
        let Value::String(pattern) = self.value else {
            return Err("`matches` needs a regular expression as text".to_owned());
        };
        let mut builder = RegexBuilder::new(pattern);
        builder.size_limit(REGEX_BYTES_MAX).case_insensitive(self.folds_case);
        builder.build().map_err(|error| {
            // The lines before the last draw the pattern with a marker, which a one-line message cannot.
            let text = error.to_string();
            let reason = text.lines().last().unwrap_or_default();
            let reason = reason.trim_start_matches("error: ");
            format!("`{pattern}` is not a usable regular expression: {reason}")
        })
    }

    pub(super) fn bound(self, accepted: Accepted) -> Result<Test, String> {
        let bound = match self.value {
            Value::Number(number) => Number::new(number).map(|number| Test::Number(accepted, number)),
            Value::String(text) => parse_time(text).map(|time| Test::Time(accepted, time)),
            _ => None,
        };
        let op = self.op;
        bound.ok_or_else(|| format!("`{op}` needs a number, or an RFC 3339 time, or a date such as `2026-01-31`"))
    }

    pub(super) fn days(self) -> Result<f64, String> {
        let op = self.op;
        self.value.as_f64().ok_or_else(|| format!("`{op}` needs a number of days, such as `30` or `0.5`"))
    }

    pub(super) fn version(self) -> Result<Version, String> {
        let op = self.op;
        let version = self.value.as_str().and_then(parse_version);
        version.ok_or_else(|| format!("`{op}` needs a semantic version as text, such as `1.2.3`"))
    }

    pub(super) fn networks(self) -> Result<Networks, String> {
        let refused =
            || format!("`{}` needs a network such as `10.0.0.0/8` or `2001:db8::/32`, or a list of them", self.op);
        let text = |value: &Value| value.as_str().map(str::to_owned).ok_or_else(refused);
        let texts: Vec<String> = match self.value {
            Value::Array(elements) if !elements.is_empty() => elements.iter().map(text).collect::<Result<_, _>>()?,
            one => vec![text(one)?],
        };
        Networks::parse(&texts).map_err(|wrong| format!("{} (`{wrong}` is none)", refused()))
    }

    pub(super) fn share(self) -> Result<Share, String> {
        serde_json::from_value(self.value.clone())
            .map_err(|_| format!("`{}` is not a share: use 0% to 100% in steps of 0.001%, such as `2.5%`", self.value))
    }
}
