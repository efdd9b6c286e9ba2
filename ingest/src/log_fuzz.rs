//! The way in for fuzzing the reader of the log: any bytes may be on a disk.

use crate::frame;
use crate::quarantine::Held;
use crate::replay::{Pupils, Replay};
use crate::segment::Segment;

/// Reads bytes as a segment of the log and checks what holds for all bytes: nothing panics, and every byte is either in a
/// valid frame or named as damage.
///
/// # Panics
/// When that does not hold.
#[doc(hidden)]
pub fn fuzz_log(bytes: &[u8]) {
    let scan = frame::scan(bytes, 0);
    let framed: usize = scan.frames.iter().map(|frame| frame.span.len()).sum();
    let damaged: usize = scan.damage.iter().map(std::ops::Range::len).sum();
    assert_eq!(framed + damaged, bytes.len(), "every byte is accounted for");
    let held = Held::new(u64::MAX);
    let (mut replay, mut segment) = (Replay::default(), Segment::default());
    let mut pupils = Pupils { index: None, held: &held, counted_through: 0 };
    let taken = replay.take_in(&scan, &mut segment, &mut pupils);
    assert!(taken.is_ok(), "reading memory cannot fail");
    replay.finish();
    let records = scan.frames.last().map_or(0, |frame| frame.record);
    assert!(segment.last_rows <= records && replay.last_record <= records);
}

#[cfg(test)]
mod tests {
    use liftgate_domain::{EventRow, RowKind, Timestamp};
    use proptest::prelude::*;

    use super::*;
    use crate::quarantine::{Doubt, QuarantineId, QuarantineReason, entry};
    use crate::record::{self, Fate, Mark, Release, Seal};
    use crate::row_codec;

    fn row(number: u64) -> EventRow {
        EventRow {
            event_id: format!("event {number}"),
            environment: 1,
            kind: RowKind::Metric,
            ts: Timestamp(5),
            ts_client: Timestamp(4),
            received_at: Timestamp(6),
            unit_index: 0,
            unit_hash: EventRow::unit_hash_of(1, "user", "u"),
            unit_type: "user".to_owned(),
            unit_id: "u".to_owned(),
            name: "purchase".to_owned(),
            variation: None,
            run: None,
            stage: None,
            arm: None,
            bucket: None,
            value: Some(1.5),
            properties: None,
            source: "native".to_owned(),
            revision: 0,
        }
    }

    /// A log with records of every kind.
    fn valid_log() -> Vec<u8> {
        let mut out = Vec::new();
        let mut number = 0;
        let mut add = |put: &dyn Fn(&mut Vec<u8>, u64)| {
            number += 1;
            let at = frame::open(&mut out);
            put(&mut out, number);
            frame::close(&mut out, at, number);
        };
        let mark = |sequence: u64, last: u64| Mark { epoch: 1, sequence, last };
        add(&|out, _| record::put_head(out, mark(0, 0), Timestamp(1)));
        for round in 0..4 {
            let before = mark(round, round * 4);
            add(&|out, number| {
                let mut rows = Vec::new();
                row_codec::encode(&row(number), &mut rows);
                record::put_rows(out, before, Timestamp(6), 1, &rows);
            });
            add(&|out, number| {
                let doubt = Doubt { reason: QuarantineReason::TimestampTooOld, limit: Timestamp(7) };
                let mut entries = Vec::new();
                entry::put(&mut entries, &entry::Entry { position: 0, doubt, rows: vec![row(number)] });
                record::put_held(out, before, Timestamp(6), 1, &entries);
            });
            add(&|out, number| {
                let mut rows = Vec::new();
                row_codec::encode(&row(number - 1), &mut rows);
                let ids = vec![QuarantineId { record: number - 1, position: 0 }];
                let release = Release { environment: 1, fate: Fate::Replayed, ids };
                record::put_released(out, before, Timestamp(6), &release, 1, &rows);
            });
            add(&|out, number| {
                let seal =
                    Seal { mark: mark(round + 1, number - 1), first: number - 3, received_through: Timestamp(6) };
                record::put_seal(out, &seal);
            });
        }
        out
    }

    #[test]
    fn a_log_of_every_kind_of_record_is_sound() {
        let bytes = valid_log();
        let scan = frame::scan(&bytes, 0);
        assert_eq!((scan.frames.len(), scan.damage.len()), (17, 0));
        assert!(scan.frames.iter().all(|frame| record::read(frame.payload).is_some()));
        fuzz_log(&bytes);
    }

    #[derive(Clone, Debug)]
    enum Mutation {
        Flip(usize),
        Cut(usize),
        /// Bytes from one place to another.
        Splice(usize, usize, usize),
    }

    fn mutations() -> impl Strategy<Value = Vec<Mutation>> {
        let length = valid_log().len();
        prop::collection::vec(
            prop_oneof![
                4 => (0..length * 8).prop_map(Mutation::Flip),
                1 => (0..length).prop_map(Mutation::Cut),
                2 => (0..length, 0..length, 1_usize..200).prop_map(|(from, to, count)| Mutation::Splice(from, to, count)),
            ],
            1..4,
        )
    }

    fn mutate(bytes: &mut Vec<u8>, mutation: &Mutation) {
        match *mutation {
            Mutation::Flip(bit) if bit / 8 < bytes.len() => bytes[bit / 8] ^= 1 << (bit % 8),
            Mutation::Flip(_) => {}
            Mutation::Cut(length) => bytes.truncate(length),
            Mutation::Splice(from, to, count) => {
                let end = (from + count).min(bytes.len());
                let part = bytes.get(from..end).unwrap_or_default().to_vec();
                let to = to.min(bytes.len());
                bytes.splice(to..to, part);
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(400))]

        #[test]
        fn every_frame_before_the_damage_is_kept(mutations in mutations()) {
            let good = valid_log();
            let mut bytes = good.clone();
            mutations.iter().for_each(|mutation| mutate(&mut bytes, mutation));
            fuzz_log(&bytes);
            let same = good.iter().zip(&bytes).take_while(|(one, other)| one == other).count();
            let read = frame::scan(&bytes, 0);
            let whole = frame::scan(&good, 0);
            for (before, now) in whole.frames.iter().filter(|frame| frame.span.end <= same).zip(&read.frames) {
                prop_assert_eq!((&before.span, before.record, before.payload), (&now.span, now.record, now.payload));
            }
            let untouched = whole.frames.iter().filter(|frame| frame.span.end <= same).count();
            prop_assert!(read.frames.len() >= untouched);
        }

        #[test]
        fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
            fuzz_log(&bytes);
        }
    }
}
