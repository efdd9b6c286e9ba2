//! Statsig: the first eight bytes of the sha256 of texts joined by dots, big-endian. A rule's pass percentage takes
//! `spec salt.rule salt.id` modulo 10 000; the condition "user bucket" takes `salt.id` modulo 1000.
//!
//! Source: statsig-io/node-js-server-sdk, `src/Evaluator.ts` (`_evalPassPercent`, `user_bucket`).

use sha2::{Digest, Sha256};

const PASS_STEPS: u64 = 10_000;
const BUCKET_STEPS: u64 = 1000;

/// The place of a unit for a rule's pass percentage, 0 to 9999. It passes at `p` percent when the place is below `p * 100`.
///
/// ```
/// assert_eq!(liftgate_evaluator::dialect::statsig::pass("spec", "rule", "user"), 7732);
/// ```
pub fn pass(spec_salt: &str, rule_salt: &str, id: &str) -> u32 {
    // Below 10 000.
    (word(&[spec_salt, ".", rule_salt, ".", id]) % PASS_STEPS) as u32
}

/// The bucket of a unit that the condition `user_bucket` compares, 0 to 999.
pub fn user_bucket(salt: &str, id: &str) -> u32 {
    // Below 1000.
    (word(&[salt, ".", id]) % BUCKET_STEPS) as u32
}

fn word(pieces: &[&str]) -> u64 {
    let hash = pieces.iter().fold(Sha256::new(), |hash, piece| hash.chain_update(piece));
    let [a, b, c, d, e, f, g, h, ..] = <[u8; 32]>::from(hash.finalize());
    u64::from_be_bytes([a, b, c, d, e, f, g, h])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_are_those_of_statsig() {
        // statsig-io/statsig-server-core, statsig-rust/tests/hash_util_evaluation_hash_tests.rs.
        for (text, hash) in
            [("", 0xE3B0_C442_98FC_1C14), ("blargh", 0x0AC3_3512_D18E_20D5), ("🗻", 0x1DDB_F4EA_8DAE_91E5)]
        {
            assert_eq!(word(&[text]), hash, "{text:?}");
        }
        assert_eq!(pass("spec", "rule", "user"), 7732);
    }

    #[test]
    fn user_buckets_are_those_of_statsig() {
        // statsig-io/node-js-server-sdk, src/__tests__/Evaluator.test.ts: below 542 and in [541, 333, 555], so 541; below 981.
        assert_eq!(user_bucket("himalayan salt", "18"), 541);
        assert!(user_bucket("himalayan salt", "1") < 980);
    }
}
