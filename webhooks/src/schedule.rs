//! When to try again, and when to give up. Pure: time and chance come in as arguments.

use liftgate_domain::Timestamp;

const SECOND_MS: i64 = 1_000;
const MINUTE_MS: i64 = 60 * SECOND_MS;
const HOUR_MS: i64 = 60 * MINUTE_MS;

/// The wait after each failed attempt, before jitter; after one attempt more than these, the delivery is dead.
pub const DELAYS_MS: [i64; 9] = [
    5 * SECOND_MS,
    5 * MINUTE_MS,
    30 * MINUTE_MS,
    2 * HOUR_MS,
    5 * HOUR_MS,
    10 * HOUR_MS,
    14 * HOUR_MS,
    20 * HOUR_MS,
    24 * HOUR_MS,
];

/// The longest that a receiver's `Retry-After` is honoured for.
pub const RETRY_AFTER_S_MAX: u64 = 24 * 60 * 60;

/// Jitter spreads each wait over 80 % to 120 % of its length, so that retries of many deliveries do not march in step.
const JITTER_LOWEST: f64 = 0.8;
const JITTER_RANGE: f64 = 0.4;

/// The time of the next attempt after a failed one, or `None` when the delivery is dead.
///
/// - `attempts`: claims so far, this one included.
/// - `first_due`: when the delivery was first due.
/// - `now`: when this attempt ended.
/// - `retry_after_s`: what a 429 or 503 asked for, in seconds; waits at least that, at most [`RETRY_AFTER_S_MAX`].
/// - `jitter`: uniform in 0..1.
///
/// A claim that was never sent (a crash, a lease that ran out, a full lane) counts in `attempts`. It must not use up a
/// chance to arrive, so the place on the schedule is never further than the time since `first_due` allows.
pub fn next_attempt(
    attempts: u32,
    first_due: Timestamp,
    now: Timestamp,
    retry_after_s: Option<u64>,
    jitter: f64,
) -> Option<Timestamp> {
    let claimed = usize::try_from(attempts).unwrap_or(usize::MAX).max(1);
    let made = claimed.min(attempts_possible(now.micros_since(first_due) / 1_000));
    let delay_ms = *DELAYS_MS.get(made - 1)?;
    let spread = JITTER_LOWEST + JITTER_RANGE * jitter.clamp(0.0, 1.0);
    let scheduled_ms = (delay_ms as f64 * spread) as i64;
    let asked_ms = i64::try_from(retry_after_s.unwrap_or(0).min(RETRY_AFTER_S_MAX) * 1_000).unwrap_or(i64::MAX);
    Some(now.plus_millis(scheduled_ms.max(asked_ms)))
}

/// The most attempts that the schedule can have made in that time: each wait lasts at least its shortest.
fn attempts_possible(elapsed_ms: i64) -> usize {
    let mut earliest_ms = 0.0;
    1 + DELAYS_MS
        .iter()
        .take_while(|delay_ms| {
            // The truncation to whole milliseconds in `next_attempt` may make each wait one shorter.
            earliest_ms += **delay_ms as f64 * JITTER_LOWEST - 1.0;
            earliest_ms <= elapsed_ms as f64
        })
        .count()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const START: Timestamp = Timestamp(1_700_000_000_000_000);

    /// Walks the schedule from the first attempt to the last with one jitter; the waits in milliseconds.
    fn walk(jitter: f64) -> Vec<i64> {
        let (mut now, mut waits) = (START, Vec::new());
        for attempts in 1.. {
            let Some(next) = next_attempt(attempts, START, now, None, jitter) else { break };
            waits.push(next.micros_since(now) / 1_000);
            now = next;
        }
        waits
    }

    #[test]
    fn waits_longer_each_time_and_then_gives_up() {
        assert_eq!(walk(0.5), DELAYS_MS);
    }

    #[test]
    fn jitter_moves_each_wait_by_a_fifth_at_most() {
        for (jitter, factor) in [(0.0, 0.8), (1.0, 1.2)] {
            let waits = walk(jitter);
            assert_eq!(waits.len(), DELAYS_MS.len(), "{jitter}");
            for (wait_ms, delay_ms) in waits.into_iter().zip(DELAYS_MS) {
                assert!((wait_ms as f64 - delay_ms as f64 * factor).abs() <= 1.0, "{wait_ms} for {delay_ms}");
            }
        }
    }

    #[test]
    fn retry_after_lengthens_a_wait_but_never_shortens_it() {
        let check = |attempts, at_ms: i64, retry_after_s, expected_ms| {
            let now = START.plus_millis(at_ms);
            let next = next_attempt(attempts, START, now, Some(retry_after_s), 0.5).unwrap();
            assert_eq!(next.micros_since(now) / 1_000, expected_ms, "{attempts} {retry_after_s}");
        };
        check(1, 0, 60, 60 * SECOND_MS);
        check(1, 0, 1, 5 * SECOND_MS);
        check(1, 0, 10 * 24 * 60 * 60, 24 * HOUR_MS);
        check(1, 0, u64::MAX, 24 * HOUR_MS);
        check(2, 5 * SECOND_MS, 60, 5 * MINUTE_MS);
    }

    #[test]
    fn claims_that_were_never_sent_use_up_no_chance() {
        let now = START.plus_millis(2 * SECOND_MS);
        let next = next_attempt(50, START, now, None, 0.5).unwrap();
        assert_eq!(next.micros_since(now) / 1_000, 5 * SECOND_MS);
    }

    #[test]
    fn a_delivery_replayed_long_after_starts_the_schedule_again() {
        let now = START.plus_millis(1_000 * HOUR_MS);
        let next = next_attempt(1, START, now, None, 0.5).unwrap();
        assert_eq!(next.micros_since(now) / 1_000, 5 * SECOND_MS);
        assert_eq!(next_attempt(10, START, now, None, 0.5), None);
    }

    proptest! {
        #[test]
        fn the_next_attempt_is_later_and_within_a_day_and_a_fifth(
            attempts in 0_u32..20, elapsed_s in 0_i64..1_000_000, retry in proptest::option::of(any::<u64>()), jitter in 0.0..1.0,
        ) {
            let now = START.plus_millis(elapsed_s * 1_000);
            if let Some(next) = next_attempt(attempts, START, now, retry, jitter) {
                prop_assert!(next.micros_since(now) >= 4_000_000);
                prop_assert!(next.micros_since(now) <= 24 * HOUR_MS * 1_200);
            }
        }
    }
}
