//! When a unit stops being comparable: at the end of the run, or when a later stage of a ramp moves it, or its mirror
//! image in the other arm, to the other variation.
//!
//! A ramp with share p serves the treatment to buckets below p. So a control unit in bucket b is moved once `p > b`.
//! The mirror image of a treated unit in bucket b is the control unit in bucket 99 999 - b, moved once
//! `p > 99 999 - b`. Either way the unit and its image leave together, and what remains of both arms stays alike.
//! A unit whose bucket is not known leaves with the first of its stage: the analysed control unit of the lowest bucket.

use liftgate_evaluator::{BUCKETS, Design, RunHistory, TREATMENT};

/// The stages of a run, as far as censoring needs them.
pub(super) struct Censoring {
    stages: Vec<Stage>,
    is_ramp: bool,
    ended_at: i64,
}

struct Stage {
    number: u32,
    share: u32,
    since: i64,
}

/// A unit's first exposure.
#[derive(Copy, Clone)]
pub(super) struct FirstSeen<'a> {
    pub(super) ts: i64,
    pub(super) stage: u32,
    pub(super) arm: &'a str,
    pub(super) bucket: Option<u32>,
}

impl Censoring {
    pub(super) fn of(history: &RunHistory) -> Self {
        let stages = history.stages.iter().map(|entry| Stage {
            number: entry.stage,
            share: entry.share.parts(),
            since: entry.since.as_micros(),
        });
        Self {
            stages: stages.collect(),
            is_ramp: matches!(history.design, Design::Ramp { .. }),
            ended_at: history.ended_at.map_or(i64::MAX, |end| end.as_micros()),
        }
    }

    /// The instant from which the unit no longer counts; `i64::MAX` when there is none.
    pub(super) fn leaves_at(&self, first: FirstSeen<'_>) -> i64 {
        if !self.is_ramp {
            return self.ended_at;
        }
        let entered = self.entered(first);
        let control_bucket = first.bucket.map_or_else(
            || self.lowest_control_bucket(entered),
            |bucket| if first.arm == TREATMENT { (BUCKETS - 1).saturating_sub(bucket) } else { bucket },
        );
        let later = &self.stages[entered.map_or(0, |entered| entered + 1)..];
        let moved = later.iter().find(|stage| stage.share > control_bucket).map_or(i64::MAX, |stage| stage.since);
        moved.min(self.ended_at)
    }

    /// The stage that the unit came in with: the latest of its number that had begun, else the first of its number.
    fn entered(&self, first: FirstSeen<'_>) -> Option<usize> {
        let mut entered = None;
        for (position, stage) in self.stages.iter().enumerate().filter(|(_, stage)| stage.number == first.stage) {
            if entered.is_none() || stage.since <= first.ts {
                entered = Some(position);
            }
        }
        entered
    }

    fn lowest_control_bucket(&self, entered: Option<usize>) -> u32 {
        entered.map_or(0, |entered| {
            let share = self.stages[entered].share;
            BUCKETS - share.min(BUCKETS - share)
        })
    }
}

#[cfg(test)]
mod tests {
    use liftgate_evaluator::{CONTROL, Key, RunKind, Share, StageEntry, Timestamp};

    use super::*;

    fn ramp(stages: &[(u32, u32, i64)], ended_at: Option<i64>) -> Censoring {
        let entry = |(stage, share, since): &(u32, u32, i64)| StageEntry {
            stage: *stage,
            share: Share::from_ppc(*share).unwrap(),
            since: Timestamp(*since),
        };
        Censoring::of(&RunHistory {
            dialect: liftgate_evaluator::Dialect::Native,
            number: 1,
            kind: RunKind::Rollout,
            key: Key::new("r").unwrap(),
            unit: "user".into(),
            salt: "s".into(),
            design: Design::Ramp { treatment: "on".into(), control: "off".into() },
            stages: stages.iter().map(entry).collect(),
            ended_at: ended_at.map(Timestamp),
        })
    }

    #[test]
    fn a_unit_and_its_mirror_image_leave_together() {
        let censoring =
            ramp(&[(0, 5_000, 0), (1, 50_000, 10), (2, 60_000, 20), (3, 99_000, 30), (4, 100_000, 40)], None);
        for (bucket, leaves_at) in [(0, 40), (999, 40), (1_000, 30), (39_999, 30), (40_000, 20), (49_999, 20)] {
            let treated = FirstSeen { ts: 0, stage: 0, arm: TREATMENT, bucket: Some(bucket) };
            let control = FirstSeen { arm: CONTROL, bucket: Some(99_999 - bucket), ..treated };
            assert_eq!(censoring.leaves_at(treated), leaves_at, "treated {bucket}");
            assert_eq!(censoring.leaves_at(control), leaves_at, "control {}", 99_999 - bucket);
        }
        let last_stage = FirstSeen { ts: 45, stage: 4, arm: TREATMENT, bucket: Some(0) };
        assert_eq!(censoring.leaves_at(last_stage), i64::MAX);
    }

    #[test]
    fn the_end_censors_everyone_and_an_unknown_bucket_leaves_with_the_first() {
        let unknown = FirstSeen { ts: 0, stage: 0, arm: CONTROL, bucket: None };
        let stages = [(0, 30_000, 0), (1, 70_000, 10), (2, 71_000, 20)];
        assert_eq!(ramp(&stages, None).leaves_at(unknown), 20);
        assert_eq!(ramp(&stages, Some(15)).leaves_at(unknown), 15);
        assert_eq!(
            ramp(&stages, None).leaves_at(FirstSeen { stage: 9, ..unknown }),
            0,
            "an unknown stage never counts"
        );
    }

    #[test]
    fn a_stage_that_comes_again_counts_from_its_last_coming() {
        let censoring = ramp(&[(0, 30_000, 0), (1, 90_000, 10), (0, 30_000, 20), (1, 90_000, 30)], None);
        let unit = FirstSeen { ts: 5, stage: 0, arm: CONTROL, bucket: Some(80_000) };
        assert_eq!(censoring.leaves_at(unit), 10);
        assert_eq!(censoring.leaves_at(FirstSeen { ts: 25, ..unit }), 30);
    }
}
