//! A [`MomentsQuery`] made ready for scanning: instants in microseconds, limits resolved once.

use std::collections::BTreeMap;

use liftgate_domain::{MetricKind, MomentsQuery, RowRule, Watermark};

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
    pub(super) metrics: Vec<AskedMetric>,
    /// Event name to positions in `metrics`.
    pub(super) by_event: BTreeMap<&'a str, Vec<usize>>,
    /// Properties that some metric sums.
    pub(super) properties: Vec<&'a str>,
}

/// What lets a unit into a decision.
pub(super) struct Closing {
    pub(super) as_of: i64,
    pub(super) censoring: Censoring,
}

/// What a scan needs to know of a metric.
pub(super) struct AskedMetric {
    pub(super) kind: MetricKind,
    pub(super) window: i64,
    /// Position in `Question::properties`; the row's own value when absent.
    pub(super) property: Option<usize>,
}

impl<'a> Question<'a> {
    /// `None` when no node has written: there is nothing to ask.
    pub(super) fn of(query: &'a MomentsQuery, watermark: &Watermark) -> Option<Self> {
        let reached = watermark.time()?.as_micros();
        let asked = query.as_of.map(|as_of| as_of.as_micros());
        let as_of = asked.unwrap_or(i64::MAX).min(reached);
        let lateness = micros(i64::try_from(query.lateness_ms).unwrap_or(i64::MAX));
        let mut properties: Vec<&str> =
            query.metrics.iter().filter_map(|asked| asked.metric.value.as_deref()).collect();
        properties.sort_unstable();
        properties.dedup();
        let mut by_event: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
        for (position, asked) in query.metrics.iter().enumerate() {
            by_event.entry(&asked.metric.event).or_default().push(position);
        }
        let metric = |asked: &'a liftgate_domain::MetricQuery| AskedMetric {
            kind: asked.metric.kind,
            window: micros(asked.metric.window.as_ms_i64()),
            property: asked.metric.value.as_deref().and_then(|name| properties.binary_search(&name).ok()),
        };
        let metrics = query.metrics.iter().map(metric).collect();
        let (received_through, lateness, closing) = match query.rule {
            RowRule::Decision => {
                let censoring = Censoring::of(&query.history);
                (as_of, lateness, Some(Closing { as_of, censoring }))
            }
            RowRule::Readout => (asked.unwrap_or(i64::MAX), i64::MAX, None),
        };
        Some(Self { query, received_through, lateness, closing, metrics, by_event, properties })
    }
}

/// Milliseconds as microseconds.
fn micros(ms: i64) -> i64 {
    ms.saturating_mul(1_000)
}
