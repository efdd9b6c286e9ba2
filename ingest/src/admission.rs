//! From well-formed events to rows: when did it happen by this node's clock, is that plausible, and which run, stage and
//! arm explains an exposure?

use std::sync::Arc;

use liftgate_domain::{Attribution, EventRow, RowKind, Sighting, Timestamp};
use serde_json::{Map, Value};

use crate::keys;
use crate::plausibility::Plausibility;
use crate::prepared::{HeldEvent, Prepared};
use crate::quarantine::{Doubt, Room};
use crate::{ParsedEvent, Quarantined, RawBody, RawEvent, RawUnit, RejectCode, Rejection};

/// From this many bytes on, the rest of a request is a write of its own: no valid request is too large for the log, where
/// an event repeats its properties for each unit.
const PART_BYTES: usize = 16 << 20;
/// How far a sender's clock may be off before its events are counted as skewed.
const SKEW_MAX_MICROS: i64 = 5_000_000;

/// The properties of an exposure in which a client may send back the run that it was told: as Flagsmith's SDKs call it,
/// and as this server's own answers do.
const TOLD_RUN: [&str; 2] = ["experiment_id", "run"];

/// What the events of a request are judged by.
pub(crate) struct Admission<'a> {
    pub environment: u64,
    pub source: &'static str,
    pub now: Timestamp,
    pub plausibility: Plausibility,
    pub attribution: &'a dyn Attribution,
    pub room: &'a Arc<Room>,
}

/// The events of a request, judged.
#[derive(Default)]
pub(crate) struct Judged {
    /// The others, in the order sent and nearly always one part: each is a write of its own.
    pub parts: Vec<Prepared>,
    pub rejected: Vec<Rejection>,
    /// The events for quarantine, in the order of `parts`.
    pub quarantined: Vec<Quarantined>,
    /// How many were sent by a clock that is off.
    pub skewed: usize,
}

impl Judged {
    /// The part that the next event belongs to.
    fn part(&mut self) -> &mut Prepared {
        if self.parts.last().is_none_or(|part| part.byte_count() >= PART_BYTES) {
            self.parts.push(Prepared::default());
        }
        self.parts.last_mut().expect("there is one now")
    }
}

impl Admission<'_> {
    /// Sorts the events of a request into rows to write, events for quarantine, and rejections.
    pub(crate) fn judge(&self, events: Vec<ParsedEvent>) -> Judged {
        let mut judged = Judged::default();
        for (index, event) in events.into_iter().enumerate() {
            match event {
                ParsedEvent::Bad(rejection) => judged.rejected.push(Rejection { index, ..rejection }),
                ParsedEvent::Ok(event) => match not_finite(&event, index) {
                    Some(rejection) => judged.rejected.push(rejection),
                    None => self.take(event, index, &mut judged),
                },
            }
        }
        judged
    }

    fn take(&self, event: RawEvent, index: usize, judged: &mut Judged) {
        let skew = event.sent_at.map_or(0, |sent_at| self.now.0.saturating_sub(sent_at.0));
        judged.skewed += usize::from(skew.saturating_abs() > SKEW_MAX_MICROS);
        let ts = Timestamp(event.timestamp.0.saturating_add(skew));
        let doubt = self.plausibility.doubt(ts, event.timestamp);
        let (mut row, other_units) = self.row(event, ts);
        if let Some(doubt) = doubt {
            let rows: Vec<EventRow> = with_units(row, other_units).collect();
            return self.hold(rows, doubt, index, judged);
        }
        if other_units.is_empty() {
            self.attribute(&mut row);
            judged.part().push(row);
        } else {
            let rows = with_units(row, other_units).map(|mut row| {
                self.attribute(&mut row);
                row
            });
            judged.part().push_event(rows);
        }
    }

    /// Puts an event into quarantine, or rejects it when that is full.
    fn hold(&self, rows: Vec<EventRow>, doubt: Doubt, index: usize, judged: &mut Judged) {
        let first = &rows[0];
        let (id, detail) = (first.event_id.clone(), doubt.detail(first.ts, first.ts_client));
        let (position, bytes) = judged.part().encode_held(doubt, &rows);
        let Some(charge) = self.room.charge(bytes.len()) else {
            judged.rejected.push(Rejection {
                index,
                id: Some(id),
                code: RejectCode::TimestampOutOfRange,
                field: Some("timestamp".to_owned()),
                detail: format!("{detail}, and quarantine is full"),
            });
            return;
        };
        let held = HeldEvent { environment: self.environment, position, reason: doubt.reason, bytes, charge };
        judged.part().push_held(keys::key_of(self.environment, &id), held);
        judged.quarantined.push(Quarantined { index, id, code: doubt.reason, detail });
    }

    fn row(&self, event: RawEvent, ts: Timestamp) -> (EventRow, Vec<RawUnit>) {
        let mut row = EventRow {
            environment: self.environment,
            kind: RowKind::Metric,
            ts,
            ts_client: event.timestamp,
            received_at: Timestamp(0),
            unit_index: 0,
            unit_hash: EventRow::unit_hash_of(self.environment, &event.unit_type, &event.unit_id),
            event_id: event.id,
            unit_type: event.unit_type,
            unit_id: event.unit_id,
            name: String::new(),
            variation: None,
            run: None,
            stage: None,
            arm: None,
            bucket: None,
            value: None,
            properties: None,
            source: self.source.to_owned(),
            revision: 0,
        };
        match event.body {
            RawBody::Metric { event, value, properties } => {
                row.name = event;
                row.value = value;
                row.properties = properties;
            }
            RawBody::Exposure { flag, variation, attributes } => {
                row.kind = RowKind::Exposure;
                row.name = flag;
                row.properties = attributes;
                row.variation = Some(variation);
            }
        }
        (row, event.other_units)
    }

    fn attribute(&self, row: &mut EventRow) {
        attribute(self.attribution, row);
    }
}

/// Stamps an exposure with its run. One that claims another variation than the run assigns explains nothing, so it stays
/// without a run: analysing it would put the unit into an arm it may never have seen.
pub(crate) fn attribute(attribution: &dyn Attribution, row: &mut EventRow) {
    if row.kind != RowKind::Exposure {
        return;
    }
    let found = attribution.attribute(&Sighting {
        environment: row.environment,
        flag: &row.name,
        unit_type: &row.unit_type,
        unit_id: &row.unit_id,
        at: row.ts,
        told_run: row.properties.as_ref().and_then(told_run),
    });
    if let Some(found) = found.filter(|found| row.variation.as_deref() == Some(&*found.variation)) {
        row.run = Some(found.run);
        row.stage = Some(found.stage);
        row.arm = found.arm;
        row.bucket = Some(found.bucket);
    }
}

/// The run that an answer named when the client asked: Flagsmith's SDKs send it back as the experiment's id.
fn told_run(properties: &Map<String, Value>) -> Option<u64> {
    TOLD_RUN.iter().find_map(|name| match properties.get(*name)? {
        Value::String(text) => text.parse().ok(),
        number => number.as_u64(),
    })
}

/// The row of an event's first unit, then the same for its other units.
fn with_units(first: EventRow, other_units: Vec<RawUnit>) -> impl Iterator<Item = EventRow> {
    let others: Vec<EventRow> = (1..=u8::MAX)
        .zip(other_units)
        .map(|(unit_index, unit)| EventRow {
            unit_index,
            unit_hash: EventRow::unit_hash_of(first.environment, &unit.unit_type, &unit.unit_id),
            unit_type: unit.unit_type,
            unit_id: unit.unit_id,
            ..first.clone()
        })
        .collect();
    std::iter::once(first).chain(others)
}

fn not_finite(event: &RawEvent, index: usize) -> Option<Rejection> {
    let finite = !matches!(event.body, RawBody::Metric { value: Some(value), .. } if !value.is_finite());
    (!finite).then(|| Rejection {
        index,
        id: Some(event.id.clone()),
        code: RejectCode::ValueNotFinite,
        field: Some("value".to_owned()),
        detail: "`value` is not a finite number".to_owned(),
    })
}
