//! LaunchDarkly: the first fifteen hexadecimal digits of the sha1 of `key.salt.id`, or of `seed.id` in an experiment,
//! divided by `0xFFFFFFFFFFFFFFF`. The id is the context's key or the attribute bucketed by; weights are in 1/100 000.
//!
//! Source: launchdarkly/go-server-sdk-evaluation, `evaluator_bucketing.go`. Some of their SDKs divide in single precision, so
//! that about one unit in ten million, on the very edge of a range, may stand on its other side there.

use std::io::Write;

use sha1::{Digest, Sha1};

/// Fifteen hexadecimal digits are sixty bits.
const SPARE_BITS: u32 = 4;
/// The largest number of fifteen hexadecimal digits.
const SCALE: f64 = 0xFFF_FFFF_FFFF_FFFF_u64 as f64;
/// Digits and sign of the smallest `i64`.
const SEED_BYTES_MAX: usize = 20;

/// Where a unit stands, 0 to 1, by the flag's or segment's key and its salt.
///
/// ```
/// let bucket = liftgate_evaluator::dialect::launchdarkly::by_salt("hashKey", "saltyA", "userKeyA");
/// assert!((bucket - 0.42157587).abs() < 1e-7);
/// ```
pub fn by_salt(key: &str, salt: &str, id: &str) -> f64 {
    fraction([key, ".", salt, ".", id].iter().fold(Sha1::new(), |hash, piece| hash.chain_update(piece)))
}

/// Where a unit stands, 0 to 1, in a rollout or experiment that has a seed; key and salt do not matter then.
pub fn by_seed(seed: i64, id: &str) -> f64 {
    let mut text = [0; SEED_BYTES_MAX];
    let mut rest = &mut text[..];
    write!(rest, "{seed}").expect("every i64 fits");
    let bytes = SEED_BYTES_MAX - rest.len();
    fraction(Sha1::new().chain_update(&text[..bytes]).chain_update(".").chain_update(id))
}

fn fraction(hash: Sha1) -> f64 {
    let [a, b, c, d, e, f, g, h, ..] = <[u8; 20]>::from(hash.finalize());
    (u64::from_be_bytes([a, b, c, d, e, f, g, h]) >> SPARE_BITS) as f64 / SCALE
}

#[cfg(test)]
mod tests {
    use super::*;

    fn assert_near(found: f64, expected: f64, row: &str) {
        assert!((found - expected).abs() < 1e-7, "{row}: {found} is not {expected}");
    }

    #[test]
    fn buckets_are_those_of_launchdarkly() {
        // launchdarkly/go-server-sdk-evaluation, evaluator_bucketing_testdata_test.go; the same rows are in their C++, Java,
        // .NET, Python and Rust SDKs, to single precision.
        let rows = [
            ("userKeyA", 0.42157587),
            ("userKeyB", 0.6708485),
            ("userKeyC", 0.10343106),
            ("33333", 0.54771423),
            ("99999", 0.7309658),
        ];
        for (id, expected) in rows {
            assert_near(by_salt("hashKey", "saltyA", id), expected, id);
        }
        for (id, expected) in [("userKeyA", 0.09801207), ("userKeyB", 0.14483777), ("userKeyC", 0.9242641)] {
            assert_near(by_seed(61, id), expected, id);
        }
        // An older Rust client's tests, in double precision.
        for (id, expected) in
            [("userKeyA", 0.4215758743392494), ("userKeyB", 0.6708484965703435), ("userKeyC", 0.1034310617276969)]
        {
            assert_eq!(by_salt("hashKey", "saltyA", id), expected, "{id}");
        }
    }

    #[test]
    fn a_seed_is_hashed_as_its_decimal_text() {
        for seed in [0, 7, -1, i64::MAX, i64::MIN] {
            assert_eq!(by_seed(seed, "user"), fraction(Sha1::new().chain_update(format!("{seed}.user"))), "{seed}");
        }
    }
}
