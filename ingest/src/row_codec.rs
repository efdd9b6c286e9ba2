//! A row as bytes in the log: a flag byte for what is present, varints and length-prefixed strings.
//! `received_at` is not here (a record's rows share its stamp) and neither is `unit_hash` (it is computed again).

use liftgate_domain::{EventRow, RowKind, Timestamp};

const METRIC: u8 = 1;
const VARIATION: u8 = 1 << 1;
const RUN: u8 = 1 << 2;
const STAGE: u8 = 1 << 3;
const ARM: u8 = 1 << 4;
const BUCKET: u8 = 1 << 5;
const VALUE: u8 = 1 << 6;
const PROPERTIES: u8 = 1 << 7;

/// Appends a row to `out`.
pub(crate) fn encode(row: &EventRow, out: &mut Vec<u8>) {
    let flags = [
        (row.kind == RowKind::Metric, METRIC),
        (row.variation.is_some(), VARIATION),
        (row.run.is_some(), RUN),
        (row.stage.is_some(), STAGE),
        (row.arm.is_some(), ARM),
        (row.bucket.is_some(), BUCKET),
        (row.value.is_some(), VALUE),
        (row.properties.is_some(), PROPERTIES),
    ];
    out.push(flags.iter().filter(|(present, _)| *present).fold(0, |all, (_, flag)| all | flag));
    out.extend_from_slice(&row.ts.0.to_le_bytes());
    varint(zigzag(row.ts_client.0.wrapping_sub(row.ts.0)), out);
    out.push(row.unit_index);
    varint(row.environment, out);
    varint(row.revision, out);
    for part in [&row.event_id, &row.unit_type, &row.unit_id, &row.name, &row.source] {
        text(part, out);
    }
    for part in [&row.variation, &row.arm].into_iter().flatten() {
        text(part, out);
    }
    for number in [row.run, row.stage.map(u64::from), row.bucket.map(u64::from)].into_iter().flatten() {
        varint(number, out);
    }
    if let Some(value) = row.value {
        out.extend_from_slice(&value.to_le_bytes());
    }
    if let Some(properties) = &row.properties {
        let json = serde_json::to_string(properties).expect("a map of JSON values is always JSON");
        text(&json, out);
    }
}

/// Takes a row off the front of `bytes`; `None` when they are not a row.
pub(crate) fn decode(bytes: &mut &[u8], received_at: Timestamp) -> Option<EventRow> {
    let flags = take(bytes, 1)?[0];
    let has = |flag: u8| flags & flag != 0;
    let ts = Timestamp(i64::from_le_bytes(take(bytes, 8)?.try_into().ok()?));
    let ts_client = Timestamp(ts.0.wrapping_add(unzigzag(read_varint(bytes)?)));
    let unit_index = take(bytes, 1)?[0];
    let environment = read_varint(bytes)?;
    let revision = read_varint(bytes)?;
    let event_id = read_text(bytes)?;
    let unit_type = read_text(bytes)?;
    let unit_id = read_text(bytes)?;
    let name = read_text(bytes)?;
    let source = read_text(bytes)?;
    let variation = if has(VARIATION) { Some(read_text(bytes)?) } else { None };
    let arm = if has(ARM) { Some(read_text(bytes)?) } else { None };
    let run = if has(RUN) { Some(read_varint(bytes)?) } else { None };
    let stage = if has(STAGE) { Some(u32::try_from(read_varint(bytes)?).ok()?) } else { None };
    let bucket = if has(BUCKET) { Some(u32::try_from(read_varint(bytes)?).ok()?) } else { None };
    let value = if has(VALUE) { Some(f64::from_le_bytes(take(bytes, 8)?.try_into().ok()?)) } else { None };
    let properties = if has(PROPERTIES) { Some(serde_json::from_str(&read_text(bytes)?).ok()?) } else { None };
    Some(EventRow {
        unit_hash: EventRow::unit_hash_of(environment, &unit_type, &unit_id),
        kind: if has(METRIC) { RowKind::Metric } else { RowKind::Exposure },
        event_id,
        environment,
        ts,
        ts_client,
        unit_index,
        received_at,
        unit_type,
        unit_id,
        name,
        variation,
        run,
        stage,
        arm,
        bucket,
        value,
        properties,
        source,
        revision,
    })
}

fn text(part: &str, out: &mut Vec<u8>) {
    varint(part.len() as u64, out);
    out.extend_from_slice(part.as_bytes());
}

pub(crate) fn varint(mut number: u64, out: &mut Vec<u8>) {
    while number >= 0x80 {
        out.push((number as u8) | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

/// Small numbers of either sign as small numbers without one.
fn zigzag(number: i64) -> u64 {
    ((number << 1) ^ (number >> 63)) as u64
}

fn unzigzag(number: u64) -> i64 {
    (number >> 1) as i64 ^ -((number & 1) as i64)
}

pub(crate) fn take<'a>(bytes: &mut &'a [u8], n: usize) -> Option<&'a [u8]> {
    let (head, rest) = bytes.split_at_checked(n)?;
    *bytes = rest;
    Some(head)
}

fn read_text(bytes: &mut &[u8]) -> Option<String> {
    let length = usize::try_from(read_varint(bytes)?).ok()?;
    String::from_utf8(take(bytes, length)?.to_vec()).ok()
}

pub(crate) fn read_varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut number = 0_u64;
    for shift in (0..64).step_by(7) {
        let byte = take(bytes, 1)?[0];
        let part = u64::from(byte & 0x7F);
        if shift == 63 && part > 1 {
            return None;
        }
        number |= part << shift;
        if byte & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    prop_compose! {
        fn rows()(
            texts in prop::array::uniform5(".{0,40}"),
            options in (prop::option::of(".{0,9}"), prop::option::of(".{0,9}"), prop::option::of(any::<u64>()),
                prop::option::of(any::<u32>()), prop::option::of(0_u32..100_000), prop::option::of(-1e300_f64..1e300)),
            numbers in (any::<u64>(), any::<u64>(), any::<i64>(), any::<i64>(), any::<u8>()),
            property in prop::option::of((".{1,9}", -1e300_f64..1e300)),
            metric in any::<bool>(),
        ) -> EventRow {
            let [event_id, unit_type, unit_id, name, source] = texts;
            let (variation, arm, run, stage, bucket, value) = options;
            let (environment, revision, ts, ts_client, unit_index) = numbers;
            EventRow {
                unit_hash: EventRow::unit_hash_of(environment, &unit_type, &unit_id),
                kind: if metric { RowKind::Metric } else { RowKind::Exposure },
                ts: Timestamp(ts), ts_client: Timestamp(ts_client), received_at: Timestamp(5), unit_index,
                properties: property.map(|(key, number)| [(key, number.into())].into_iter().collect()),
                event_id, unit_type, unit_id, name, source, variation, arm, run, stage, bucket, value, environment, revision,
            }
        }
    }

    proptest! {
        #[test]
        fn a_row_is_read_as_it_was_written(row in rows()) {
            let mut bytes = Vec::new();
            encode(&row, &mut bytes);
            let mut rest = bytes.as_slice();
            prop_assert_eq!(decode(&mut rest, Timestamp(5)), Some(row));
            prop_assert!(rest.is_empty());
        }

        #[test]
        fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..256)) {
            let mut rest = bytes.as_slice();
            while decode(&mut rest, Timestamp(0)).is_some() {}
        }
    }
}
