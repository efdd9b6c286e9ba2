//! The rows of the benchmark: each day every unit is exposed once and does four of five things.

use liftgate_domain::{EventRow, RowKind, Timestamp};
use liftgate_evaluator::{CONTROL, TREATMENT, share_bucket};

pub const ENVIRONMENT: u64 = 1;
pub const RUN: u64 = 7;
pub const SALT: &str = "bench";
/// 2026-03-01T00:00:00Z.
pub const START_US: i64 = 1_772_323_200_000_000;
pub const DAY_US: i64 = 86_400_000_000;
pub const DAYS: u64 = 10;
pub const EVENTS_A_DAY: u64 = 4;
pub const NAMES: [&str; 5] = ["view", "click", "search", "add_to_cart", "purchase"];

/// How event ids look.
#[derive(Copy, Clone, PartialEq, Eq)]
pub enum Ids {
    /// A counter in the order of sending, such as a database's.
    Sequential,
    /// Random, such as UUIDs of version 4: 15.25 bytes each that no encoding can save.
    Uuid,
}

/// SplitMix64: enough chance for rows, the same on every machine.
pub fn mix(seed: u64) -> u64 {
    let mut z = seed.wrapping_add(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// What happens on a day, in the order of time: (microseconds of the day, unit, 0 for the exposure or 1 to 4).
pub fn happenings(day: u64, units: u64) -> Vec<(i64, u32, u8)> {
    let mut all = Vec::with_capacity((units * (1 + EVENTS_A_DAY)) as usize);
    for unit in 0..units {
        let exposed = (mix(unit ^ (day << 40)) % (DAY_US as u64 / 2)) as i64;
        all.push((exposed, unit as u32, 0));
        for nth in 1..=EVENTS_A_DAY {
            let at = (mix(unit ^ (day << 40) ^ (nth << 50)) % DAY_US as u64) as i64;
            all.push((at, unit as u32, nth as u8));
        }
    }
    all.sort_unstable();
    all
}

pub fn row(day: u64, happening: (i64, u32, u8), number: u64, ids: Ids) -> EventRow {
    let (at, unit, nth) = happening;
    let chance = mix(number);
    // Milliseconds, as the clocks of browsers and SDKs give.
    let ts = Timestamp(START_US + day as i64 * DAY_US + at / 1_000 * 1_000);
    let unit_id = format!("user-{unit}");
    let event_id = match ids {
        Ids::Sequential => format!("evt-{number:012}"),
        Ids::Uuid => format!("{:016x}-{:016x}", chance, mix(chance)),
    };
    let mut row = EventRow {
        event_id,
        environment: ENVIRONMENT,
        kind: RowKind::Metric,
        ts,
        ts_client: ts,
        received_at: ts,
        unit_index: 0,
        unit_type: "user".to_owned(),
        unit_hash: EventRow::unit_hash_of(ENVIRONMENT, "user", &unit_id),
        unit_id,
        name: "checkout".to_owned(),
        variation: None,
        run: None,
        stage: None,
        arm: None,
        bucket: None,
        value: None,
        properties: None,
        source: "native".to_owned(),
        revision: 0,
    };
    if nth == 0 {
        let bucket = share_bucket(SALT, &row.unit_id);
        let (variation, arm) = if bucket < 50_000 { ("on", TREATMENT) } else { ("off", CONTROL) };
        row.kind = RowKind::Exposure;
        row.variation = Some(variation.to_owned());
        row.run = Some(RUN);
        row.stage = Some(0);
        row.arm = Some(arm.to_owned());
        row.bucket = Some(bucket);
        row.revision = 3;
    } else {
        row.name = NAMES[((u64::from(unit) * 7 + day * EVENTS_A_DAY + u64::from(nth)) % 5) as usize].to_owned();
        // Prices with cents.
        row.value = Some((chance % 20_000) as f64 / 100.0);
    }
    row
}
