//! The first day whose ids are remembered. Time moves it a day at a time; a clock that jumps further is believed only once it
//! has stayed there, because what is forgotten cannot be known again.

use liftgate_domain::Timestamp;

use super::{Day, first_day};

/// How long a clock that has jumped must stay there before it is believed.
const JUMP_PERSISTS_MICROS: i64 = 10 * 60 * 1_000_000;

/// The first day, and whether the clock has left it behind.
#[derive(Copy, Clone, Debug, Default)]
pub(crate) struct Horizon {
    /// `None` before the first look.
    first: Option<Day>,
    /// When a jump was first seen, by the clock that jumped.
    jumped_at: Option<Timestamp>,
}

/// What a look at the clock has shown.
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub(crate) enum Look {
    /// Nothing is to be forgotten.
    Unchanged,
    /// The clock has just jumped by days. Nothing is forgotten yet.
    Doubtful,
    /// The days before this one are to be forgotten.
    Forget(Day),
}

impl Horizon {
    /// The first day that is remembered.
    pub(crate) fn first(&self) -> Day {
        self.first.unwrap_or(Day::MIN)
    }

    /// As it was when a node that opens again was last heard of; never beyond `now`, because what the log says may be
    /// from a clock that had jumped.
    pub(crate) fn of_last_life(last: Timestamp, now: Timestamp, window_ms: i64) -> Self {
        Self { first: Some(first_day(last.min(now), window_ms)), jumped_at: None }
    }

    /// Looks at the clock. What is seen first is believed: there is nothing to compare it with.
    pub(crate) fn look(&mut self, now: Timestamp, window_ms: i64) -> Look {
        let reached = first_day(now, window_ms);
        let days = self.first.map_or(1, |first| i64::from(reached) - i64::from(first));
        if days <= 0 {
            self.jumped_at = None;
            return Look::Unchanged;
        }
        if days > 1 {
            let Some(jumped_at) = self.jumped_at else {
                self.jumped_at = Some(now);
                return Look::Doubtful;
            };
            if now.0.saturating_sub(jumped_at.0) < JUMP_PERSISTS_MICROS {
                return Look::Unchanged;
            }
        }
        *self = Self { first: Some(reached), jumped_at: None };
        Look::Forget(reached)
    }
}

/// Says once that the clock has jumped.
pub(crate) fn tell_of_jump(now: Timestamp) {
    tracing::warn!(%now, minutes = JUMP_PERSISTS_MICROS / 60_000_000,
        "The clock has jumped by more than a day; known event ids are kept until it has stayed there for some minutes.");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::DAY_MICROS;

    const WINDOW_MS: i64 = 7 * 86_400_000;
    const MINUTE: i64 = 60_000_000;

    fn at(days: i64, micros: i64) -> Timestamp {
        Timestamp(days * DAY_MICROS + micros)
    }

    #[test]
    fn time_forgets_a_day_at_a_time() {
        let mut horizon = Horizon::default();
        assert_eq!(horizon.first(), Day::MIN);
        assert_eq!(horizon.look(at(100, 5), WINDOW_MS), Look::Forget(93));
        assert_eq!(horizon.look(at(100, 6), WINDOW_MS), Look::Unchanged);
        assert_eq!(horizon.look(at(101, 0), WINDOW_MS), Look::Forget(94));
        assert_eq!(horizon.look(at(99, 0), WINDOW_MS), Look::Unchanged, "nothing comes back");
        assert_eq!(horizon.first(), 94);
    }

    #[test]
    fn a_node_that_opens_goes_on_where_it_was() {
        let check = |last, now, expected| {
            let mut horizon = Horizon::of_last_life(last, now, WINDOW_MS);
            horizon.look(now, WINDOW_MS);
            assert_eq!(horizon.first(), expected);
        };
        check(at(100, 5), at(100, 6), 93);
        check(at(100, 5), at(101, 0), 94);
        check(at(100, 5), at(109, 0), 93);
        check(at(109, 0), at(100, 5), 93);
    }

    #[test]
    fn a_jump_is_believed_only_once_it_has_lasted() {
        let mut horizon = Horizon::default();
        horizon.look(at(100, 0), WINDOW_MS);
        for _ in 0..3 {
            assert_eq!(horizon.look(at(109, 0), WINDOW_MS), Look::Doubtful);
            assert_eq!(horizon.look(at(109, 9 * MINUTE), WINDOW_MS), Look::Unchanged);
            assert_eq!(horizon.look(at(100, 10 * MINUTE), WINDOW_MS), Look::Unchanged, "it was an error");
            assert_eq!(horizon.first(), 93);
        }
        assert_eq!(horizon.look(at(109, 0), WINDOW_MS), Look::Doubtful);
        assert_eq!(horizon.look(at(109, 10 * MINUTE), WINDOW_MS), Look::Forget(102));
    }
}
