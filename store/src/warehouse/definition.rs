//! What a question means, as a naive fold over all rows: the oracle that engines are compared with.
//!
//! Written to be checked against the text of [`MomentsQuery`], line by line. No indexes, no shortcuts, no state.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use liftgate_domain::{
    ArmCount, Cell, EventCounts, EventRow, Metric, MetricKind, MomentsAnswer, MomentsQuery, RowKind, RowRule,
    SealedBatch, Timestamp, Watermark,
};
use liftgate_evaluator::{BUCKETS, Design, RunHistory, StageEntry, TREATMENT};
use liftgate_stats::Moments;
use serde_json::Value;

/// Answers `query` from all rows.
pub(super) fn answer(batches: &[Arc<SealedBatch>], watermark: &Watermark, query: &MomentsQuery) -> MomentsAnswer {
    let mut answer = MomentsAnswer { watermark: watermark.clone(), ..MomentsAnswer::default() };
    let Some(horizon) = Horizon::of(watermark, query) else {
        return answer;
    };
    let rows: Vec<&EventRow> =
        distinct(batches, query.environment).into_values().filter(|row| horizon.sees(row)).collect();

    let mut exposures: BTreeMap<&str, Vec<&EventRow>> = BTreeMap::new();
    let mut events: BTreeMap<&str, Vec<&EventRow>> = BTreeMap::new();
    for row in rows.iter().filter(|row| row.unit_type == query.history.unit) {
        match row.kind {
            RowKind::Exposure if row.run == Some(query.history.number) => {
                exposures.entry(&row.unit_id).or_default().push(row);
            }
            RowKind::Exposure => {}
            RowKind::Metric => events.entry(&row.unit_id).or_default().push(row),
        }
    }
    if let Design::Ramp { treatment, control } = &query.history.design {
        let served = |variation: &str| {
            let of_variation = |row: &&&EventRow| row.variation.as_deref() == Some(variation);
            exposures.values().flatten().filter(of_variation).map(|row| row.ts.min(row.received_at)).max()
        };
        answer.last_treatment_at = served(treatment);
        answer.last_control_at = served(control);
        let is_treated = |rows: &&Vec<&EventRow>| rows.iter().any(|row| row.variation.as_ref() == Some(treatment));
        answer.treated_units = exposures.values().filter(is_treated).count() as u64;
    }

    let mut arms: BTreeMap<(u32, &str), u64> = BTreeMap::new();
    let mut cells: BTreeMap<(usize, u32, &str), Moments> = BTreeMap::new();
    for (unit, rows) in exposures {
        let considered: Vec<Exposure<'_>> = rows.into_iter().filter_map(|row| horizon.considers(row)).collect();
        if considered.iter().map(|exposure| exposure.arm).collect::<BTreeSet<_>>().len() > 1 {
            answer.crossover_units += 1;
            continue;
        }
        let Some(first) = considered.into_iter().min_by_key(|exposure| (exposure.row.ts, &exposure.row.event_id))
        else {
            continue;
        };
        if !query.arms.iter().any(|arm| arm == first.arm) {
            continue;
        }
        *arms.entry((first.stage, first.arm)).or_default() += 1;
        for (index, asked) in query.metrics.iter().enumerate() {
            if !horizon.admits(&first, &asked.metric, &query.history) {
                continue;
            }
            let unit_events = events.get(unit).map_or(&[][..], Vec::as_slice);
            let (value, non_finite) = unit_value(&asked.metric, &first, unit_events, &horizon);
            answer.non_finite += non_finite;
            cells.entry((index, first.stage, first.arm)).or_default().push(value);
        }
    }
    answer.arms = arms
        .into_iter()
        .map(|((stage, arm), units)| ArmCount { slice: None, stage, arm: arm.to_owned(), units })
        .collect();
    answer.cells = cells
        .into_iter()
        .map(|((index, stage, arm), moments)| Cell {
            metric: query.metrics[index].key.clone(),
            stage,
            arm: arm.to_owned(),
            slice: None,
            moments,
            joint: None,
        })
        .collect();
    answer
}

/// Counts the distinct events of an environment, and the rows beyond them.
pub(super) fn counts(batches: &[Arc<SealedBatch>], environment: u64) -> EventCounts {
    let distinct = distinct(batches, environment);
    let stored = batches.iter().flat_map(|batch| &batch.rows).filter(|row| row.environment == environment).count();
    let of_kind = |kind| distinct.values().filter(|row| row.kind == kind).count() as u64;
    EventCounts {
        exposures: of_kind(RowKind::Exposure),
        metrics: of_kind(RowKind::Metric),
        surplus: (stored - distinct.len()) as u64,
    }
}

/// What orders the rows of one id: receipt, node, epoch, sequence.
type Rank<'a> = (Timestamp, &'a str, u64, u64);

/// One row an event id: the one received first; of those the one of the smallest (node, epoch, sequence).
fn distinct(batches: &[Arc<SealedBatch>], environment: u64) -> BTreeMap<&str, &EventRow> {
    let mut rows: BTreeMap<&str, (Rank<'_>, &EventRow)> = BTreeMap::new();
    for batch in batches {
        for row in batch.rows.iter().filter(|row| row.environment == environment) {
            let rank = (row.received_at, &*batch.node, batch.epoch, batch.sequence);
            let kept = rows.entry(&row.event_id).or_insert((rank, row));
            if rank < kept.0 {
                *kept = (rank, row);
            }
        }
    }
    rows.into_iter().map(|(id, (_, row))| (id, row)).collect()
}

/// An exposure that counts as one: it has an arm and a stage, and came in time.
struct Exposure<'a> {
    row: &'a EventRow,
    stage: u32,
    arm: &'a str,
}

/// How far a question may see.
struct Horizon {
    rule: RowRule,
    lateness_ms: i64,
    /// Rows received later are not there yet.
    received_through: Option<Timestamp>,
    /// The instant that a decision answers for.
    as_of: Timestamp,
}

impl Horizon {
    /// `None` when no node has written: nothing can be answered.
    fn of(watermark: &Watermark, query: &MomentsQuery) -> Option<Self> {
        let reached = watermark.time()?;
        let as_of = query.as_of.map_or(reached, |asked| asked.min(reached));
        let received_through = match query.rule {
            RowRule::Decision => Some(as_of),
            RowRule::Readout => query.as_of,
        };
        let lateness_ms = i64::try_from(query.lateness_ms).unwrap_or(i64::MAX);
        Some(Self { rule: query.rule, lateness_ms, received_through, as_of })
    }

    fn sees(&self, row: &EventRow) -> bool {
        self.received_through.is_none_or(|through| row.received_at <= through)
    }

    fn considers<'a>(&self, row: &'a EventRow) -> Option<Exposure<'a>> {
        let late = row.received_at > row.ts.plus_millis(self.lateness_ms);
        if self.rule == RowRule::Decision && late {
            return None;
        }
        Some(Exposure { row, stage: row.stage?, arm: row.arm.as_deref()? })
    }

    /// Whether the unit is in the cells of this metric: always for readouts; for decisions once its window has closed
    /// for good, before it or its mirror image switched.
    fn admits(&self, first: &Exposure<'_>, metric: &Metric, history: &RunHistory) -> bool {
        let window_end = first.row.ts.plus_millis(metric.window.as_ms_i64());
        match self.rule {
            RowRule::Readout => true,
            RowRule::Decision => {
                switch(first, history).is_none_or(|switch| window_end <= switch)
                    && window_end.plus_millis(self.lateness_ms) <= self.as_of
            }
        }
    }
}

/// The instant at which a unit is censored, if any: the end of the run, or the first later stage of a ramp in which it
/// or its mirror image in the other arm is served the other variation.
fn switch(first: &Exposure<'_>, history: &RunHistory) -> Option<Timestamp> {
    let switched = match &history.design {
        Design::Split { .. } => None,
        Design::Ramp { .. } => {
            let position = stage_position(first, history);
            let share_at_switch = BUCKETS - distance(first, position.map(|position| &history.stages[position]));
            let later = position.map_or(0, |position| position + 1);
            let mut entries = history.stages[later..].iter();
            entries.find(|entry| entry.share.parts() > share_at_switch).map(|entry| entry.since)
        }
    };
    [switched, history.ended_at].into_iter().flatten().min()
}

/// `d` in parts: how far the unit's bucket is from the end of the line at which its arm begins. A unit whose bucket
/// is not known is taken to be the first of its stage to switch.
fn distance(first: &Exposure<'_>, stage: Option<&StageEntry>) -> u32 {
    let known = first.row.bucket.map(|bucket| match first.arm {
        TREATMENT => bucket.saturating_add(1),
        _ => BUCKETS.saturating_sub(bucket),
    });
    let analysed = || stage.map_or(BUCKETS, |entry| entry.share.parts().min(BUCKETS - entry.share.parts()));
    known.unwrap_or_else(analysed).min(BUCKETS)
}

/// Where in the history the unit's stage is. A stage may come again: then its latest coming before the exposure. A
/// unit stamped with a stage that had not begun by its own clock belongs to that stage's first coming.
fn stage_position(first: &Exposure<'_>, history: &RunHistory) -> Option<usize> {
    let comings = || history.stages.iter().enumerate().filter(|(_, entry)| entry.stage == first.stage);
    let begun = comings().rfind(|(_, entry)| entry.since <= first.row.ts);
    begun.or_else(|| comings().next()).map(|(position, _)| position)
}

/// The unit's value, and how many of its rows had a value that was not a finite number.
fn unit_value(metric: &Metric, first: &Exposure<'_>, events: &[&EventRow], horizon: &Horizon) -> (f64, u64) {
    let window_end = first.row.ts.plus_millis(metric.window.as_ms_i64());
    let in_time = |row: &EventRow| match horizon.rule {
        RowRule::Readout => true,
        RowRule::Decision => row.received_at <= window_end.plus_millis(horizon.lateness_ms),
    };
    let in_window =
        |row: &&&EventRow| row.name == metric.event && first.row.ts <= row.ts && row.ts < window_end && in_time(row);
    let counted = events.iter().filter(in_window);
    match metric.kind {
        MetricKind::Proportion | MetricKind::Ratio | MetricKind::Retention | MetricKind::Quantile => {
            (f64::from(u8::from(counted.count() > 0)), 0)
        }
        MetricKind::Count => (counted.count() as f64, 0),
        MetricKind::Mean => {
            let values: Vec<f64> = counted.map(|row| row_value(metric, row)).collect();
            let sum: f64 = values.iter().filter(|value| value.is_finite()).sum();
            let non_finite = values.iter().filter(|value| !value.is_finite()).count() as u64;
            // Numbers that are finite one by one can overflow together.
            if sum.is_finite() { (sum, non_finite) } else { (0.0, non_finite + 1) }
        }
    }
}

/// What a row adds to a mean: 0 when it has no such number.
fn row_value(metric: &Metric, row: &EventRow) -> f64 {
    match &metric.value {
        None => row.value.unwrap_or(0.0),
        Some(property) => {
            row.properties.as_ref().and_then(|map| map.get(property)).and_then(Value::as_f64).unwrap_or(0.0)
        }
    }
}
