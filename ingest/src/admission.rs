//! From well-formed events to rows: is the time plausible, and which run, stage and arm explains an exposure?

use liftgate_domain::{Attribution, EventRow, RowKind, Timestamp};

use crate::door::Prepared;
use crate::{ParsedEvent, RawBody, RawEvent, RejectCode, Rejection};

/// How far ahead of this node's clock an event may be.
const AHEAD_MAX_MS: i64 = 86_400_000;

/// What the events of a request are judged by.
pub(crate) struct Admission<'a> {
    pub environment: u64,
    pub source: &'static str,
    pub now: Timestamp,
    pub retention_ms: i64,
    pub attribution: &'a dyn Attribution,
}

impl Admission<'_> {
    /// Sorts the events of a request into rows to write and rejections.
    pub(crate) fn prepare(&self, events: Vec<ParsedEvent>) -> (Prepared, Vec<Rejection>) {
        let mut prepared = Prepared::default();
        let mut rejected = Vec::new();
        for (index, event) in events.into_iter().enumerate() {
            match event {
                ParsedEvent::Bad(rejection) => rejected.push(Rejection { index, ..rejection }),
                ParsedEvent::Ok(event) => match self.implausible(&event, index) {
                    Some(rejection) => rejected.push(rejection),
                    None => prepared.push(self.row(event)),
                },
            }
        }
        (prepared, rejected)
    }

    fn implausible(&self, event: &RawEvent, index: usize) -> Option<Rejection> {
        let earliest = self.now.plus_millis(-self.retention_ms);
        let latest = self.now.plus_millis(AHEAD_MAX_MS);
        let limit = if event.timestamp < earliest {
            format!("before {earliest}, where retention begins")
        } else if event.timestamp > latest {
            format!("after {latest}, a day ahead of this node's clock")
        } else {
            let finite = !matches!(event.body, RawBody::Metric { value: Some(value), .. } if !value.is_finite());
            return (!finite).then(|| Rejection {
                index,
                id: Some(event.id.clone()),
                code: RejectCode::ValueNotFinite,
                field: Some("value".to_owned()),
                detail: "`value` is not a finite number".to_owned(),
            });
        };
        Some(Rejection {
            index,
            id: Some(event.id.clone()),
            code: RejectCode::TimestampOutOfRange,
            field: Some("timestamp".to_owned()),
            detail: format!("`timestamp` {} is {limit}", event.timestamp),
        })
    }

    fn row(&self, event: RawEvent) -> EventRow {
        let mut row = EventRow {
            environment: self.environment,
            kind: RowKind::Metric,
            ts: event.timestamp,
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
                self.attribute(&mut row, &variation);
                row.variation = Some(variation);
            }
        }
        row
    }

    /// Stamps an exposure with its run. One that claims another variation than the run assigns explains nothing, so it
    /// stays without a run: analysing it would put the unit into an arm it may never have seen.
    fn attribute(&self, row: &mut EventRow, claimed: &str) {
        let found = self.attribution.attribute(self.environment, &row.name, &row.unit_type, &row.unit_id, row.ts);
        if let Some(found) = found.filter(|found| found.variation == claimed) {
            row.run = Some(found.run);
            row.stage = Some(found.stage);
            row.arm = found.arm;
            row.bucket = Some(found.bucket);
        }
    }
}
