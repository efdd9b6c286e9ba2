//! What a metric makes of the rows of one unit.

use liftgate_domain::{Aggregate, EventRow, Metric, MetricKind, MetricQuery, Span, Timestamp};
use serde_json::Value;

use super::horizon::Horizon;
use super::population::Unit;

/// A metric's variables for one unit, in the order of [`liftgate_domain::Cell::joint`].
pub(super) struct UnitValues {
    /// At least one.
    pub(super) variables: Vec<f64>,
    /// Of a quantile: the values of the events.
    pub(super) events: Vec<f64>,
    /// Rows whose value was not a finite number, and sums that became too large.
    pub(super) non_finite: u64,
}

/// `from <= ts < to`.
struct Window {
    from: Timestamp,
    to: Timestamp,
}

/// The rows that one variable reads, and what it makes of them.
struct Part<'a> {
    event: &'a str,
    /// A property; the event's own value when absent.
    value: Option<&'a str>,
    fold: Fold,
}

enum Fold {
    /// 1 when there is a row, else 0.
    Any,
    Count,
    Sum,
}

impl UnitValues {
    pub(super) fn of(asked: &MetricQuery, unit: &Unit<'_>, horizon: &Horizon) -> Self {
        let metric = &asked.metric;
        let first = unit.first.row.ts;
        let window_end = first.plus_millis(metric.window.as_ms_i64());
        let delay_ms = metric.delay.map_or(0, Span::as_ms_i64);
        let window = Window { from: first.plus_millis(delay_ms), to: window_end };
        let rows_of = |event: &str, window: &Window| -> Vec<&EventRow> {
            let in_window = |row: &&EventRow| window.from <= row.ts && row.ts < window.to;
            let events = unit.events.iter().copied().filter(|row| row.name == event);
            events.filter(in_window).filter(|row| horizon.is_in_time(row, window_end)).collect()
        };
        if metric.kind == MetricKind::Quantile {
            return Self::of_quantile(asked, &rows_of(&metric.event, &window));
        }
        let mut windows = vec![window];
        if let Some(lookback) = asked.lookback {
            windows.push(Window { from: first.plus_millis(-lookback.as_ms_i64()), to: first });
        }
        let mut values = Self { variables: Vec::new(), events: Vec::new(), non_finite: 0 };
        for window in &windows {
            for part in parts(metric) {
                let variable = values.fold(&part, &rows_of(part.event, window));
                values.variables.push(variable);
            }
        }
        values
    }

    /// How many events there are, and how many with a value up to each cut.
    fn of_quantile(asked: &MetricQuery, rows: &[&EventRow]) -> Self {
        let numbers: Vec<f64> = rows.iter().filter_map(|row| number(row, asked.metric.value.as_deref())).collect();
        let events: Vec<f64> = numbers.iter().copied().filter(|value| value.is_finite()).collect();
        let mut variables = vec![events.len() as f64];
        variables.extend(asked.cuts.iter().map(|cut| events.iter().filter(|value| *value <= cut).count() as f64));
        Self { variables, non_finite: (numbers.len() - events.len()) as u64, events }
    }

    fn fold(&mut self, part: &Part<'_>, rows: &[&EventRow]) -> f64 {
        match part.fold {
            Fold::Any => f64::from(u8::from(!rows.is_empty())),
            Fold::Count => rows.len() as f64,
            Fold::Sum => {
                let values: Vec<f64> = rows.iter().map(|row| number(row, part.value).unwrap_or(0.0)).collect();
                let sum: f64 = values.iter().filter(|value| value.is_finite()).sum();
                self.non_finite += values.iter().filter(|value| !value.is_finite()).count() as u64;
                if sum.is_finite() {
                    return sum;
                }
                // Numbers that are finite one by one can overflow together.
                self.non_finite += 1;
                0.0
            }
        }
    }
}

/// The value, and of a ratio what it is divided by.
fn parts(metric: &Metric) -> Vec<Part<'_>> {
    let of_aggregate = |aggregate: Aggregate| match aggregate {
        Aggregate::Sum => Fold::Sum,
        Aggregate::Count => Fold::Count,
    };
    let fold = match metric.kind {
        MetricKind::Proportion | MetricKind::Retention => Fold::Any,
        MetricKind::Count => Fold::Count,
        MetricKind::Mean | MetricKind::Quantile => Fold::Sum,
        MetricKind::Ratio => of_aggregate(metric.aggregate.unwrap_or_default()),
    };
    let mut parts = vec![Part { event: &metric.event, value: metric.value.as_deref(), fold }];
    if let (MetricKind::Ratio, Some(denominator)) = (metric.kind, &metric.denominator) {
        let fold = of_aggregate(denominator.aggregate);
        parts.push(Part { event: &denominator.event, value: denominator.value.as_deref(), fold });
    }
    parts
}

/// The row's number, if it has one: a property that is a number, or its own value.
fn number(row: &EventRow, property: Option<&str>) -> Option<f64> {
    match property {
        None => row.value,
        Some(property) => row.properties.as_ref()?.get(property).and_then(Value::as_f64),
    }
}
