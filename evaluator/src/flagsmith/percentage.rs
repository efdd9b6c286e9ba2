//! Where ids stand between 0 (inclusive) and 100 (exclusive): `(md5 mod 9999) / 9998 * 100` of the ids joined by commas.
//! One value in 9999 would be exactly 100; the list of ids is then hashed with one more repetition.
//! Reference: `get_hashed_percentage_for_object_ids` of Flagsmith's engine. Frozen by the vectors of the tests.

use md5::{Digest, Md5};

use crate::Bucket;
use crate::line::bucket_of_percentage;

/// How many places the line has; the last, which would be 100, is hashed again.
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
    reduce(hasher)
}

/// The digest as one big-endian integer, modulo [`STEPS`].
fn reduce(hasher: Md5) -> u32 {
    const HIGH: u64 = (1_u128 << 64).rem_euclid(STEPS as u128) as u64;
    let steps = u64::from(STEPS);
    let digest = u128::from_be_bytes(hasher.finalize().into());
    // The casts take the two halves; the products of remainders are far below the size of a `u64`.
    let (high, low) = ((digest >> 64) as u64, digest as u64);
    ((high % steps * HIGH + low % steps) % steps) as u32
}

/// The line of a feature state: everything that is hashed before the identifier, ready once.
#[derive(Clone, Debug)]
pub(crate) struct SaltedPercentage {
    salt: Box<str>,
    /// Has hashed the salt.
    begun: Md5,
}

impl SaltedPercentage {
    pub(crate) fn new(salt: &str) -> Self {
        Self { salt: salt.into(), begun: Md5::new_with_prefix(salt) }
    }

    /// `percentage` of the salt's and the unit's ids, on the bucket line.
    #[inline]
    pub(crate) fn bucket(&self, unit_id: &str) -> Bucket {
        let mut hasher = self.begun.clone();
        hasher.update(unit_id);
        let mut repeated = hasher.clone();
        let mut step = reduce(hasher);
        for _ in 1..REPETITIONS_MAX {
            if step != STEPS - 1 {
                break;
            }
            for piece in [",", &self.salt, unit_id] {
                repeated.update(piece);
            }
            step = reduce(repeated.clone());
        }
        bucket_of_percentage(f64::from(step.min(STEPS - 2)) / f64::from(STEPS - 1) * 100.0)
    }
}
