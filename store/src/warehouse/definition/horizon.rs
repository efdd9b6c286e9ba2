//! How far a question sees: which rows have been received, which came in time, which units may enter.

use liftgate_domain::{EventRow, Metric, MomentsQuery, RowRule, Timestamp, Watermark};
use liftgate_evaluator::RunHistory;

use super::censoring::leaves_at;
use super::population::FirstExposure;

/// How far a question may see.
pub(super) struct Horizon {
    rule: RowRule,
    lateness_ms: i64,
    /// Rows received later are not there yet.
    received_through: Option<Timestamp>,
    /// The instant that a decision answers for.
    as_of: Timestamp,
}

impl Horizon {
    /// `None` when no node has written: nothing can be answered.
    pub(super) fn of(watermark: &Watermark, query: &MomentsQuery) -> Option<Self> {
        let reached = watermark.time()?;
        let as_of = query.as_of.map_or(reached, |asked| asked.min(reached));
        let received_through = match query.rule {
            RowRule::Decision => Some(as_of),
            RowRule::Readout => query.as_of,
        };
        let lateness_ms = i64::try_from(query.lateness_ms).unwrap_or(i64::MAX);
        Some(Self { rule: query.rule, lateness_ms, received_through, as_of })
    }

    /// Whether the row has been received.
    pub(super) fn sees(&self, row: &EventRow) -> bool {
        self.received_through.is_none_or(|through| row.received_at <= through)
    }

    /// Whether an exposure is considered: under the rule for decisions it must not be late.
    pub(super) fn considers(&self, exposure: &EventRow) -> bool {
        match self.rule {
            RowRule::Readout => true,
            RowRule::Decision => exposure.received_at <= exposure.ts.plus_millis(self.lateness_ms),
        }
    }

    /// Whether a metric's row came in time, its unit's window ending at `window_end`. Rows of the lookback have until
    /// then as well.
    pub(super) fn is_in_time(&self, row: &EventRow, window_end: Timestamp) -> bool {
        match self.rule {
            RowRule::Readout => true,
            RowRule::Decision => row.received_at <= window_end.plus_millis(self.lateness_ms),
        }
    }

    /// Whether the unit is in the cells of this metric: always for readouts; for decisions once its window has closed
    /// for good, before it or its mirror image switched.
    pub(super) fn admits(&self, first: &FirstExposure<'_>, metric: &Metric, history: &RunHistory) -> bool {
        let window_end = first.row.ts.plus_millis(metric.window.as_ms_i64());
        match self.rule {
            RowRule::Readout => true,
            RowRule::Decision => {
                leaves_at(first, history).is_none_or(|switch| window_end <= switch)
                    && window_end.plus_millis(self.lateness_ms) <= self.as_of
            }
        }
    }
}
