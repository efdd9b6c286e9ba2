//! Where a unit stands on the bucket line: a pure function of salt and unit id, fixed for ever.
//! The vectors in `tests/it/vectors.rs` freeze it: a change here would move every unit of every customer.

use xxhash_rust::xxh3::{Xxh3, xxh3_64};

/// A place on the bucket line, `0..100_000`.
pub type Bucket = u32;

/// The length of the bucket line; one bucket is 0.001 % of the units.
pub const BUCKETS: u32 = 100_000;

/// Inputs up to this length are put together on the stack; longer ones take the slower streaming hasher.
const INLINE_BYTES_MAX: usize = 256;

/// Room for a salt, its suffix and a UUID.
const TEMPLATE_BYTES: usize = 64;

const SHARE_SUFFIX: &str = "\0share\0";
const SPLIT_SUFFIX: &str = "\0split\0";

/// The bucket of a unit: xxh3-64 over `salt \0 unit_id`, mapped to the line by multiply-shift.
///
/// ```
/// let bucket = liftgate_evaluator::bucket("checkout", "user-1");
/// assert_eq!(bucket, liftgate_evaluator::bucket("checkout", "user-1"));
/// assert!(bucket < liftgate_evaluator::BUCKETS);
/// ```
pub fn bucket(salt: &str, unit_id: &str) -> Bucket {
    place([salt.as_bytes(), b"\0", unit_id.as_bytes()])
}

/// The bucket that decides *who is in*: `bucket(salt + "\0share", unit_id)`. Ramps and share gates use it.
pub fn share_bucket(salt: &str, unit_id: &str) -> Bucket {
    place([salt.as_bytes(), SHARE_SUFFIX.as_bytes(), unit_id.as_bytes()])
}

/// The bucket that decides *which variation*: `bucket(salt + "\0split", unit_id)`. It does not correlate with
/// [`share_bucket`], so being early in a ramp says nothing about the variation of a split.
pub fn split_bucket(salt: &str, unit_id: &str) -> Bucket {
    place([salt.as_bytes(), SPLIT_SUFFIX.as_bytes(), unit_id.as_bytes()])
}

/// A salt made ready once: everything that is hashed before the unit id, in a buffer with room for the usual id.
#[derive(Clone, Debug)]
pub(crate) struct SaltedLine {
    salted: Box<[u8]>,
    /// Begins with `salted` when that fits: copying all of it is cheaper than copying a part of unknown length.
    template: [u8; TEMPLATE_BYTES],
}

impl SaltedLine {
    /// The line of [`share_bucket`].
    pub(crate) fn share(salt: &str) -> Self {
        Self::new([salt, SHARE_SUFFIX].concat())
    }

    /// The line of [`split_bucket`].
    pub(crate) fn split(salt: &str) -> Self {
        Self::new([salt, SPLIT_SUFFIX].concat())
    }

    fn new(salted: String) -> Self {
        let salted: Box<[u8]> = salted.into_bytes().into();
        let mut template = [0; TEMPLATE_BYTES];
        if let Some(start) = template.get_mut(..salted.len()) {
            start.copy_from_slice(&salted);
        }
        Self { salted, template }
    }

    #[inline]
    pub(crate) fn bucket(&self, unit_id: &str) -> Bucket {
        let end = self.salted.len() + unit_id.len();
        let mut bytes = self.template;
        match bytes.get_mut(self.salted.len()..end) {
            Some(room) => {
                room.copy_from_slice(unit_id.as_bytes());
                on_line(xxh3_64(&bytes[..end]))
            }
            None => place([&self.salted, unit_id.as_bytes()]),
        }
    }
}

fn place<const N: usize>(pieces: [&[u8]; N]) -> Bucket {
    on_line(hash(pieces))
}

fn on_line(hash: u64) -> Bucket {
    // The high 64 bits of the product: below `BUCKETS` for every hash, so the cast keeps all of it.
    ((u128::from(hash) * u128::from(BUCKETS)) >> 64) as Bucket
}

fn hash<const N: usize>(pieces: [&[u8]; N]) -> u64 {
    let mut bytes = [0_u8; INLINE_BYTES_MAX];
    let mut end = 0;
    for piece in pieces {
        let Some(room) = bytes.get_mut(end..end + piece.len()) else {
            return hash_streaming(pieces);
        };
        room.copy_from_slice(piece);
        end += piece.len();
    }
    xxh3_64(&bytes[..end])
}

#[cold]
fn hash_streaming<const N: usize>(pieces: [&[u8]; N]) -> u64 {
    let mut hasher = Xxh3::new();
    for piece in pieces {
        hasher.update(piece);
    }
    hasher.digest()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_hash_like_the_whole_at_every_length() {
        for length in 0..600 {
            let unit = "ü7x".chars().cycle().take(length).collect::<String>();
            let whole = xxh3_64(format!("salt\0{unit}").as_bytes());
            assert_eq!(hash([b"salt", b"\0", unit.as_bytes()]), whole, "{length}");
            assert_eq!(hash_streaming([b"salt", b"\0", unit.as_bytes()]), whole, "{length}");
        }
    }

    #[test]
    fn lines_are_salts_with_a_suffix() {
        for (salt_bytes, unit_bytes) in (0..90).flat_map(|s| (0..90).map(move |u| (s, u))) {
            let (salt, unit) = ("s".repeat(salt_bytes), "u".repeat(unit_bytes));
            let (share, split) = (share_bucket(&salt, &unit), split_bucket(&salt, &unit));
            assert_eq!(share, bucket(&format!("{salt}\0share"), &unit));
            assert_eq!(split, bucket(&format!("{salt}\0split"), &unit));
            assert_eq!(SaltedLine::share(&salt).bucket(&unit), share);
            assert_eq!(SaltedLine::split(&salt).bucket(&unit), split);
        }
    }
}
