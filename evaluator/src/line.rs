//! The bucket lines of a flag: which hash, over what. A flag's dialect is stored with it and frozen once units have
//! been assigned, so that a team that comes from another system keeps every assignment.

use serde::{Deserialize, Serialize};

use crate::bucket::{SaltedLine, share_bucket, split_bucket};
use crate::flagsmith::percentage::SaltedPercentage;
use crate::{BUCKETS, Bucket};

/// How a flag's units find their buckets.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Dialect {
    /// xxh3-64 of salt and unit id, with independent lines for share and split.
    #[default]
    Native,
    /// Flagsmith's: md5 of `salt` and unit id, in steps of 0.01 %. A salt is the text that is hashed before the
    /// identifier, `"{feature state},{hash key}_"`, and share and split are one line.
    Flagsmith,
}

impl Dialect {
    /// The word on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Native => "native",
            Self::Flagsmith => "flagsmith",
        }
    }

    /// Whether this is [`Dialect::Native`].
    pub fn is_native(&self) -> bool {
        *self == Self::Native
    }

    /// The salt of a new split or ramp: `place` names it for people (flag and rule), `number` is unique in its
    /// organization, `hash_key` is the environment's.
    pub fn salt(self, place: &str, number: u64, hash_key: &str) -> String {
        match self {
            Self::Native => place.to_owned(),
            Self::Flagsmith => format!("{number},{hash_key}_"),
        }
    }

    /// The bucket that decides who is in; see [`share_bucket`].
    pub fn share_bucket(self, salt: &str, unit_id: &str) -> Bucket {
        match self {
            Self::Native => share_bucket(salt, unit_id),
            Self::Flagsmith => SaltedPercentage::new(salt).bucket(unit_id),
        }
    }

    /// The bucket that decides which variation; see [`split_bucket`].
    pub fn split_bucket(self, salt: &str, unit_id: &str) -> Bucket {
        match self {
            Self::Native => split_bucket(salt, unit_id),
            Self::Flagsmith => SaltedPercentage::new(salt).bucket(unit_id),
        }
    }
}

/// A line made ready once.
#[derive(Clone, Debug)]
pub(crate) enum Line {
    Native(SaltedLine),
    Flagsmith(SaltedPercentage),
}

impl Line {
    pub(crate) fn share(dialect: Dialect, salt: &str) -> Self {
        match dialect {
            Dialect::Native => Self::Native(SaltedLine::share(salt)),
            Dialect::Flagsmith => Self::Flagsmith(SaltedPercentage::new(salt)),
        }
    }

    pub(crate) fn split(dialect: Dialect, salt: &str) -> Self {
        match dialect {
            Dialect::Native => Self::Native(SaltedLine::split(salt)),
            Dialect::Flagsmith => Self::Flagsmith(SaltedPercentage::new(salt)),
        }
    }

    #[inline]
    pub(crate) fn bucket(&self, unit_id: &str) -> Bucket {
        match self {
            Self::Native(line) => line.bucket(unit_id),
            Self::Flagsmith(line) => line.bucket(unit_id),
        }
    }
}

/// The bucket of a percentage below 100. Its floor makes integer comparisons mean the same: for a whole number of
/// parts n, `bucket < n` exactly when `percentage < n / 1000`.
pub(crate) fn bucket_of_percentage(percentage: f64) -> Bucket {
    // At most 99.99, so the product is below `BUCKETS` and the cast keeps all of its whole part.
    (percentage * f64::from(BUCKETS / 100)) as Bucket
}

/// The number of percentages below 100, and their distance from each other.
pub(crate) const BUCKETS_LAST_STEP: u32 = 9_998;

/// The bucket of the percentage at a step.
pub(crate) fn bucket_of_step(step: u32) -> Bucket {
    bucket_of_percentage(f64::from(step) / f64::from(BUCKETS_LAST_STEP) * 100.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flagsmith::percentage;

    #[test]
    fn a_bucket_is_below_a_share_exactly_when_the_percentage_is() {
        for step in 0..9_998_u32 {
            let percentage = f64::from(step) / 9_998.0 * 100.0;
            let bucket = bucket_of_percentage(percentage);
            for parts in [bucket.saturating_sub(1), bucket, bucket + 1, bucket + 2] {
                assert_eq!(bucket < parts, percentage < f64::from(parts) / 1_000.0, "{step} {parts}");
            }
        }
    }

    #[test]
    fn a_flagsmith_line_hashes_what_their_engine_hashes() {
        for number in 0..20_000 {
            let unit = format!("user-{number}");
            let theirs = percentage(&["78986", &format!("env_{unit}")]);
            let ours = Line::split(Dialect::Flagsmith, "78986,env_").bucket(&unit);
            assert_eq!(ours, bucket_of_percentage(theirs), "{unit}");
            assert_eq!(Dialect::Flagsmith.share_bucket("78986,env_", &unit), ours);
        }
        let long = "u".repeat(500);
        let theirs = percentage(&["1", &format!("env_{long}")]);
        assert_eq!(Dialect::Flagsmith.split_bucket("1,env_", &long), bucket_of_percentage(theirs));
    }

    /// The identity whose first hash is exactly 100.
    #[test]
    fn the_vector_that_is_hashed_again_is() {
        let bucket = Dialect::Flagsmith.split_bucket("78986,", "user_36317");
        assert_eq!(bucket, bucket_of_percentage(80.626_125_225_045_02));
    }
}
