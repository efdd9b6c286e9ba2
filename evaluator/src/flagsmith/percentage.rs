//! Where ids stand between 0 (inclusive) and 100 (exclusive): `(md5 mod 9999) / 9998 * 100` of the ids joined by commas.
//! One value in 9999 would be exactly 100; the list of ids is then hashed with one more repetition.
//! Reference: `get_hashed_percentage_for_object_ids` of Flagsmith's engine. Frozen by the vectors of the tests.

use md5::{Digest, Md5};

const STEPS: u32 = 9999;

/// Each repetition is needed once in 9999 times, so nobody has ever seen the fifth.
const REPETITIONS_MAX: usize = 32;

/// The percentage of a list of ids, such as a feature's key and an identity's key.
///
/// ```
/// let percentage = liftgate_evaluator::flagsmith::percentage(&["78986", "test_env_foobar"]);
/// assert_eq!(percentage, 54.53090618123625);
/// ```
pub fn percentage(ids: &[&str]) -> f64 {
    let step = (1..=REPETITIONS_MAX).map(|repetitions| step(ids, repetitions)).find(|&step| step != STEPS - 1);
    f64::from(step.unwrap_or(STEPS - 2)) / f64::from(STEPS - 1) * 100.0
}

fn step(ids: &[&str], repetitions: usize) -> u32 {
    let mut hasher = Md5::new();
    for (position, id) in std::iter::repeat_n(ids, repetitions).flatten().enumerate() {
        if position > 0 {
            hasher.update(b",");
        }
        hasher.update(id.as_bytes());
    }
    // The digest as one big-endian integer, reduced on the way.
    hasher.finalize().iter().fold(0, |rest, &byte| (rest * 256 + u32::from(byte)) % STEPS)
}
