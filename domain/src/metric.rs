//! The body of a metric: which events it reads and what it makes of them, unit by unit.

use std::{fmt, str::FromStr};

use liftgate_stats::{Direction, Outcome};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::Span;

/// How the events of one unit become one value.
#[derive(Copy, Clone, Debug, Eq, PartialEq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MetricKind {
    /// 1 when the unit has at least one event in its window, else 0.
    Proportion,
    /// The sum of the value over the unit's events in its window; 0 without any.
    Mean,
    /// How many events the unit has in its window.
    Count,
    /// The sum (or count) of one event over the sum (or count) of another, over all units: two values a unit.
    Ratio,
    /// 1 when the unit has at least one event late enough: in its window, but not before `delay` has passed.
    Retention,
    /// A quantile of the events' values, the unit being a cluster of events.
    Quantile,
}

impl MetricKind {
    /// How the statistics treat the unit values: as 0/1 or as numbers. `None` for kinds whose units have more than one
    /// value, which need methods of their own.
    pub fn outcome(self) -> Option<Outcome> {
        match self {
            Self::Proportion | Self::Retention => Some(Outcome::Binary),
            Self::Mean | Self::Count => Some(Outcome::Mean),
            Self::Ratio | Self::Quantile => None,
        }
    }

    /// The stored name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Proportion => "proportion",
            Self::Mean => "mean",
            Self::Count => "count",
            Self::Ratio => "ratio",
            Self::Retention => "retention",
            Self::Quantile => "quantile",
        }
    }
}

/// What is added up over a unit's events, in either part of a ratio.
#[derive(Copy, Clone, Debug, Default, Eq, PartialEq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Aggregate {
    /// The values of the events.
    #[default]
    Sum,
    /// 1 for each event.
    Count,
}

/// What a ratio divides by.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Denominator {
    /// The event it reads.
    pub event: String,
    /// The numeric property that is summed; the event's own `value` when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
    /// Sum or count.
    pub aggregate: Aggregate,
}

/// The largest value of a unit that counts; larger ones count as this much. On the wire a number, or text such as `p99.5`.
#[derive(Copy, Clone, Debug, PartialEq)]
pub enum Cap {
    /// A fixed value. The only form that is valid while decisions are taken from growing data.
    Value(f64),
    /// The percentile (0 to 100, exclusive) of the values of all units that enter, arms and stages together: of n sorted
    /// values the one at position `ceil(p / 100 * n)`, from 1.
    Percentile(f64),
}

/// A metric's definition. Immutable once a run has pinned it: an edit makes a new revision for later runs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Metric {
    /// A name for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// How events become a value.
    pub kind: MetricKind,
    /// The event it reads.
    pub event: String,
    /// The numeric property that is summed; the event's own `value` when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
    /// Attribution window, from a unit's first exposure (inclusive).
    pub window: Span,
    /// The window's beginning, after the first exposure; shorter than `window`, whose end it does not move. Retention
    /// needs one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delay: Option<Span>,
    /// Of a ratio: sum or count of `event`; the sum when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub aggregate: Option<Aggregate>,
    /// Of a ratio: what it divides by.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub denominator: Option<Denominator>,
    /// Of a mean, count or ratio: the largest value of a unit. A percentile caps both parts of a ratio, each at its own;
    /// a fixed value caps the numerator.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cap: Option<Cap>,
    /// Of a quantile: which, between 0 and 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quantile: Option<f64>,
    /// Which way is better.
    pub direction: Direction,
}

impl Metric {
    /// A metric with nothing but what each must have.
    pub fn new(kind: MetricKind, event: impl Into<String>, window: Span, direction: Direction) -> Self {
        Self {
            name: None,
            kind,
            event: event.into(),
            value: None,
            window,
            delay: None,
            aggregate: None,
            denominator: None,
            cap: None,
            quantile: None,
            direction,
        }
    }

    /// What is wrong with the definition: the field, and what to write instead. Empty when it can be computed.
    pub fn problems(&self) -> Vec<(&'static str, String)> {
        use MetricKind::{Count, Mean, Quantile, Ratio, Retention};
        let mut found = Vec::new();
        let mut fault = |is_wrong: bool, field: &'static str, message: &str| {
            if is_wrong {
                found.push((field, message.to_owned()));
            }
        };
        let kind = self.kind;
        fault(self.event.trim().is_empty(), "event", "must name the event that the metric reads");
        fault(self.window.as_ms() == 0, "window", "must be longer than 0; a typical one is `24h`");
        let reads_values =
            matches!(kind, Mean | Quantile) || (kind == Ratio && self.aggregate != Some(Aggregate::Count));
        fault(
            self.value.is_some() && !reads_values,
            "value",
            "is only read by metrics of kind `mean` and `quantile`, and by a `ratio` that sums",
        );
        fault(
            self.delay.is_some_and(|delay| delay >= self.window),
            "delay",
            "must be shorter than `window`, which counts from the first exposure too",
        );
        fault(
            kind == Retention && self.delay.is_none_or(|delay| delay.as_ms() == 0),
            "delay",
            "a metric of kind `retention` needs one longer than 0, such as `7d`: only later events count",
        );
        fault(self.aggregate.is_some() && kind != Ratio, "aggregate", "is only read by metrics of kind `ratio`");
        fault(self.denominator.is_some() && kind != Ratio, "denominator", "is only read by metrics of kind `ratio`");
        fault(
            self.denominator.is_none() && kind == Ratio,
            "denominator",
            "a metric of kind `ratio` needs one, such as {event: order, aggregate: count}",
        );
        if let Some(denominator) = &self.denominator {
            fault(denominator.event.trim().is_empty(), "denominator.event", "must name the event that it reads");
            fault(
                denominator.value.is_some() && denominator.aggregate == Aggregate::Count,
                "denominator.value",
                "is only read when `aggregate` is `sum`",
            );
        }
        fault(
            self.cap.is_some() && !matches!(kind, Mean | Count | Ratio),
            "cap",
            "is only read by metrics of kind `mean`, `count` and `ratio`",
        );
        fault(
            kind == Quantile && !self.quantile.is_some_and(|quantile| quantile > 0.0 && quantile < 1.0),
            "quantile",
            "a metric of kind `quantile` needs one between 0 and 1, such as 0.95",
        );
        fault(self.quantile.is_some() && kind != Quantile, "quantile", "is only read by metrics of kind `quantile`");
        found
    }
}

impl Cap {
    const EXPECTED: &str = "a finite number above 0, or a percentile such as `p99.5`";

    fn checked(self) -> Result<Self, String> {
        let good = match self {
            Self::Value(value) => value.is_finite() && value > 0.0,
            Self::Percentile(percent) => percent > 0.0 && percent < 100.0,
        };
        if good { Ok(self) } else { Err(format!("`{self}` is not a cap: write {}", Self::EXPECTED)) }
    }
}

impl FromStr for Cap {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let percent = text.strip_prefix('p').and_then(|percent| percent.parse().ok());
        percent
            .map(Self::Percentile)
            .ok_or_else(|| format!("`{text}` is not a cap: write {}", Self::EXPECTED))?
            .checked()
    }
}

impl fmt::Display for Cap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Value(value) => write!(f, "{value}"),
            Self::Percentile(percent) => write!(f, "p{percent}"),
        }
    }
}

impl Serialize for Cap {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Value(value) => serializer.serialize_f64(*value),
            Self::Percentile(_) => serializer.collect_str(self),
        }
    }
}

impl<'de> Deserialize<'de> for Cap {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl de::Visitor<'_> for Visitor {
            type Value = Cap;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(Cap::EXPECTED)
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Cap, E> {
                text.parse().map_err(E::custom)
            }

            fn visit_f64<E: de::Error>(self, value: f64) -> Result<Cap, E> {
                Cap::Value(value).checked().map_err(E::custom)
            }

            fn visit_u64<E: de::Error>(self, value: u64) -> Result<Cap, E> {
                self.visit_f64(value as f64)
            }

            fn visit_i64<E: de::Error>(self, value: i64) -> Result<Cap, E> {
                self.visit_f64(value as f64)
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_cap_is_a_number_or_a_percentile() {
        for (json, cap) in
            [(json!(500), Cap::Value(500.0)), (json!(0.5), Cap::Value(0.5)), (json!("p99.5"), Cap::Percentile(99.5))]
        {
            let read: Cap = serde_json::from_value(json.clone()).unwrap();
            assert_eq!(read, cap);
            assert_eq!(serde_json::from_value::<Cap>(serde_json::to_value(read).unwrap()).unwrap(), cap);
        }
        for bad in [json!(0), json!(-1), json!("p0"), json!("p100"), json!("99"), json!("pNaN"), json!(true)] {
            assert!(serde_json::from_value::<Cap>(bad.clone()).is_err(), "{bad}");
        }
    }

    #[test]
    fn each_fault_of_a_definition_names_its_field() {
        let metric = |change: fn(&mut Metric)| {
            let mut metric = Metric::new(MetricKind::Mean, "purchase", Span::from_ms(1_000), Direction::Increase);
            change(&mut metric);
            metric.problems().into_iter().map(|(field, _)| field).collect::<Vec<_>>()
        };
        type Case = (fn(&mut Metric), &'static [&'static str]);
        let cases: [Case; 12] = [
            (|_| {}, &[]),
            (|metric| metric.event = " ".into(), &["event"]),
            (|metric| metric.window = Span::from_ms(0), &["window"]),
            (|metric| (metric.kind, metric.value) = (MetricKind::Count, Some("amount".into())), &["value"]),
            (|metric| metric.delay = Some(Span::from_ms(1_000)), &["delay"]),
            (|metric| metric.kind = MetricKind::Retention, &["delay"]),
            (|metric| metric.kind = MetricKind::Ratio, &["denominator"]),
            (|metric| metric.aggregate = Some(Aggregate::Count), &["aggregate"]),
            (|metric| metric.kind = MetricKind::Quantile, &["quantile"]),
            (|metric| metric.quantile = Some(0.5), &["quantile"]),
            (|metric| (metric.kind, metric.cap) = (MetricKind::Proportion, Some(Cap::Value(1.0))), &["cap"]),
            (
                |metric| {
                    metric.denominator = Some(Denominator {
                        event: String::new(),
                        value: Some("x".into()),
                        aggregate: Aggregate::Count,
                    });
                },
                &["denominator", "denominator.event", "denominator.value"],
            ),
        ];
        for (change, fields) in cases {
            assert_eq!(metric(change), fields);
        }
    }
}
