//! A [`MomentsQuery`] made ready for scanning: instants in microseconds, limits resolved once, metrics taken apart into
//! the variables that are added up unit by unit.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use liftgate_domain::{Aggregate, Dimension, Metric, MetricKind, MetricQuery, MomentsQuery, RowRule, Span, Watermark};

use super::censoring::Censoring;

/// A question, ready to be asked of rows.
pub(super) struct Question<'a> {
    pub(super) query: &'a MomentsQuery,
    /// Rows received later are not there yet.
    pub(super) received_through: i64,
    /// How late a row may be; without limit for readouts.
    pub(super) lateness: i64,
    /// Present for decisions.
    pub(super) closing: Option<Closing>,
    pub(super) metrics: Vec<AskedMetric<'a>>,
    /// Of all metrics, metric by metric.
    pub(super) variables: Vec<Variable<'a>>,
    /// Event name to positions in `variables`.
    pub(super) by_event: BTreeMap<&'a str, Vec<usize>>,
    /// Properties that some variable reads, sorted.
    pub(super) properties: Vec<&'a str>,
    /// Properties of exposures that some dimension reads, sorted.
    pub(super) attributes: Vec<&'a str>,
}

/// What lets a unit into a decision.
pub(super) struct Closing {
    pub(super) as_of: i64,
    pub(super) censoring: Censoring,
}

/// What is needed to know of a metric beside its variables.
pub(super) struct AskedMetric<'a> {
    pub(super) asked: &'a MetricQuery,
    pub(super) window: i64,
    /// In `Question::variables`: the value, the denominator, the covariates of both.
    pub(super) variables: Range<usize>,
}

/// One number a unit, added up over some of its events. A row counts when `from <= ts - first < until` and
/// `received_at - first <= received_until`.
pub(super) struct Variable<'a> {
    pub(super) metric: usize,
    pub(super) from: i64,
    pub(super) until: i64,
    pub(super) received_until: i64,
    pub(super) fold: Fold<'a>,
}

/// What a variable makes of the events that count.
#[derive(Copy, Clone)]
pub(super) enum Fold<'a> {
    /// 1 when there is one, else 0.
    Any,
    Count,
    Sum(Source),
    /// How many there are with a finite value, and how many of those up to each cut.
    Events {
        source: Source,
        cuts: &'a [f64],
        keeps_values: bool,
    },
}

/// Where an event's number is.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(super) enum Source {
    Value,
    /// Position in `Question::properties`.
    Property(usize),
}

impl Fold<'_> {
    pub(super) fn source(&self) -> Option<Source> {
        match self {
            Self::Any | Self::Count => None,
            Self::Sum(source) | Self::Events { source, .. } => Some(*source),
        }
    }
}

impl<'a> Question<'a> {
    /// `None` when no node has written: there is nothing to ask.
    pub(super) fn of(query: &'a MomentsQuery, watermark: &Watermark) -> Option<Self> {
        let reached = watermark.time()?.as_micros();
        let asked = query.as_of.map(|as_of| as_of.as_micros());
        let as_of = asked.unwrap_or(i64::MAX).min(reached);
        let lateness = micros(i64::try_from(query.lateness_ms).unwrap_or(i64::MAX));
        let (received_through, lateness, closing) = match query.rule {
            RowRule::Decision => {
                let censoring = Censoring::of(&query.history);
                (as_of, lateness, Some(Closing { as_of, censoring }))
            }
            RowRule::Readout => (asked.unwrap_or(i64::MAX), i64::MAX, None),
        };
        let attributes = query.slices.iter().filter_map(|dimension| match dimension {
            Dimension::Attribute(name) => Some(name.as_str()),
            Dimension::ExposureDay => None,
        });
        let mut question = Self {
            query,
            received_through,
            lateness,
            closing,
            metrics: Vec::new(),
            variables: Vec::new(),
            by_event: BTreeMap::new(),
            properties: sorted(query.metrics.iter().flat_map(|asked| properties(&asked.metric))),
            attributes: sorted(attributes),
        };
        for asked in &query.metrics {
            question.add(asked);
        }
        Some(question)
    }

    /// Whether it matters when rows were received.
    pub(super) fn reads_receipt(&self) -> bool {
        self.received_through < i64::MAX || self.lateness < i64::MAX
    }

    /// Whether some variable reads events' own values.
    pub(super) fn reads_values(&self) -> bool {
        self.variables.iter().any(|variable| variable.fold.source() == Some(Source::Value))
    }

    /// The runs whose exposures matter.
    pub(super) fn runs(&self) -> BTreeSet<u64> {
        self.query.exclude_runs.iter().copied().chain([self.query.history.number]).collect()
    }

    /// Whether a unit is in the cells of a metric: for decisions once its window has closed for good, before it left.
    pub(super) fn admits(&self, first_ts: i64, leaves_at: i64, window: i64) -> bool {
        let end = first_ts.saturating_add(window);
        self.closing
            .as_ref()
            .is_none_or(|closing| end <= leaves_at && end.saturating_add(self.lateness) <= closing.as_of)
    }

    fn add(&mut self, asked: &'a MetricQuery) {
        let (position, metric) = (self.metrics.len(), &asked.metric);
        let begin = self.variables.len();
        let window = span(metric.window);
        let received_until = window.saturating_add(self.lateness);
        let mut windows = vec![(span(metric.delay.unwrap_or(Span::from_ms(0))), window)];
        if let Some(lookback) = asked.lookback.filter(|_| metric.kind != MetricKind::Quantile) {
            windows.push((span(lookback).saturating_neg(), 0));
        }
        for (from, until) in windows {
            for (event, fold) in self.parts(asked) {
                self.by_event.entry(event).or_default().push(self.variables.len());
                self.variables.push(Variable { metric: position, from, until, received_until, fold });
            }
        }
        self.metrics.push(AskedMetric { asked, window, variables: begin..self.variables.len() });
    }

    /// Which events a metric's variables read: the value, and of a ratio what it is divided by.
    fn parts(&self, asked: &'a MetricQuery) -> Vec<(&'a str, Fold<'a>)> {
        let metric = &asked.metric;
        let source = |property: Option<&str>| {
            let position = property.and_then(|name| self.properties.binary_search(&name).ok());
            position.map_or(Source::Value, Source::Property)
        };
        let of_aggregate = |aggregate: Aggregate, property: Option<&str>| match aggregate {
            Aggregate::Sum => Fold::Sum(source(property)),
            Aggregate::Count => Fold::Count,
        };
        let value = metric.value.as_deref();
        let fold = match metric.kind {
            MetricKind::Proportion | MetricKind::Retention => Fold::Any,
            MetricKind::Count => Fold::Count,
            MetricKind::Mean => Fold::Sum(source(value)),
            MetricKind::Ratio => of_aggregate(metric.aggregate.unwrap_or_default(), value),
            MetricKind::Quantile => {
                Fold::Events { source: source(value), cuts: &asked.cuts, keeps_values: !asked.probabilities.is_empty() }
            }
        };
        let mut parts = vec![(metric.event.as_str(), fold)];
        if let (MetricKind::Ratio, Some(denominator)) = (metric.kind, &metric.denominator) {
            let fold = of_aggregate(denominator.aggregate, denominator.value.as_deref());
            parts.push((denominator.event.as_str(), fold));
        }
        parts
    }
}

/// The properties that a metric may read.
fn properties(metric: &Metric) -> impl Iterator<Item = &str> {
    let of_denominator = metric.denominator.as_ref().and_then(|denominator| denominator.value.as_deref());
    metric.value.as_deref().into_iter().chain(of_denominator)
}

fn sorted<'a>(names: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    names.collect::<BTreeSet<_>>().into_iter().collect()
}

/// A length of time in microseconds.
fn span(span: Span) -> i64 {
    micros(span.as_ms_i64())
}

/// Milliseconds as microseconds.
fn micros(ms: i64) -> i64 {
    ms.saturating_mul(1_000)
}
