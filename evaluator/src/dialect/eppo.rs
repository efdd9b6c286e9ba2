//! Eppo: the first four bytes of the md5 of `salt-id`, big-endian, modulo the flag's number of shards (10 000 as a rule).
//! A flag has a salt for traffic and one for the split; ranges are `start <= shard < end`.
//!
//! Source: Eppo-exp/rust-sdk, `eppo_core/src/sharder.rs`.

use std::num::NonZeroU32;

/// The shard of a unit, 0 to below `total_shards`.
///
/// ```
/// use std::num::NonZeroU32;
/// let shards = NonZeroU32::new(10_000).expect("it is not 0");
/// assert_eq!(liftgate_evaluator::dialect::eppo::shard("salt", "alice", shards), 3619);
/// ```
pub fn shard(salt: &str, id: &str, total_shards: NonZeroU32) -> u32 {
    super::md5_word([salt, "-", id]) % total_shards
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shards_are_those_of_eppo() {
        let shards = NonZeroU32::new(10_000).unwrap();
        assert_eq!(shard("salt", "alice", shards), 3619);
        // Eppo-exp/js-client-sdk-common, src/sharders.spec.ts; the same rows are in their Python and iOS SDKs. They hash the
        // whole input, and only the first has a separator in it.
        assert_eq!(shard("test", "input", shards), 5619);
        for (input, expected) in [("test-input", 5619), ("alice", 3170), ("bob", 7420), ("charlie", 7497)] {
            assert_eq!(crate::dialect::md5_word([input, "", ""]) % shards, expected, "{input}");
        }
    }
}
