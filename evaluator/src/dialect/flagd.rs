//! flagd's `fractional`: murmur3-32, seed 0, of the flag's key and the unit id without anything between them. A rule may
//! name another text to bucket by; hash that with an empty flag key.
//!
//! Version 1 is `|h as i32| / (2^31 - 1) * 100`, in percent; version 2 is `(h * total weight) >> 32`.
//! Source: open-feature/flagd, `core/pkg/evaluator/fractional.go`; both versions stand in open-feature/flagd-testbed.

use std::io::Read;

/// Version 1: percent, 0 to 100. The unit gets the first variant at which the percentages so far add up to *more*.
///
/// One hash in 2^32 is a hair above 100 and falls on no variant; so it does in flagd.
pub fn v1(flag_key: &str, id: &str) -> f64 {
    let ratio = f64::from(hash(flag_key, id).cast_signed().unsigned_abs()) / f64::from(i32::MAX);
    ratio * 100.0
}

/// Version 2: 0 to below `total_weight` (0 when that is 0). The unit gets the first variant at which the weights so far add up
/// to more. flagd allows a total of at most 2^31 - 1.
///
/// ```
/// assert_eq!(liftgate_evaluator::dialect::flagd::v2("shared-seed", "jack", 100), 63);
/// ```
pub fn v2(flag_key: &str, id: &str, total_weight: u32) -> u32 {
    // The high half of the product: it fits.
    ((u64::from(hash(flag_key, id)) * u64::from(total_weight)) >> 32) as u32
}

fn hash(flag_key: &str, id: &str) -> u32 {
    super::murmur3(flag_key.as_bytes().chain(id.as_bytes()), 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SUITS: [&str; 4] = ["clubs", "diamonds", "hearts", "spades"];

    /// What the testbed's flags serve: four suits, 25 each.
    fn suit_v1(flag_key: &str, id: &str) -> &'static str {
        SUITS[SUITS.len().min((v1(flag_key, id) / 25.0) as usize)]
    }

    fn suit_v2(flag_key: &str, id: &str) -> &'static str {
        SUITS[(v2(flag_key, id, 100) / 25) as usize]
    }

    #[test]
    fn version_1_is_that_of_flagd() {
        assert!((v1("shared-seed", "jack") - 73.18).abs() < 0.005);
        // open-feature/flagd-testbed, evaluator/gherkin/fractional.feature, examples tagged `fractional-v1`.
        let rows = [
            ("fractional-flag", "jack", "spades"),
            ("fractional-flag", "queen", "clubs"),
            ("fractional-flag", "ten", "diamonds"),
            ("fractional-flag", "nine", "hearts"),
            ("fractional-flag", "3", "diamonds"),
            ("shared-seed", "jack", "hearts"),
            ("shared-seed", "queen", "spades"),
            ("shared-seed", "ten", "hearts"),
            ("shared-seed", "nine", "diamonds"),
        ];
        for (flag, id, suit) in rows {
            assert_eq!(suit_v1(flag, id), suit, "{flag} {id}");
        }
        assert!(v1("fractional-flag-shorthand", "jon@company.com") < 50.0);
        assert!(v1("fractional-flag-shorthand", "jane@company.com") >= 50.0);
    }

    #[test]
    fn version_2_is_that_of_flagd() {
        assert_eq!(v2("shared-seed", "jack", 100), 63);
        // The same file, examples tagged `fractional-v2`.
        let rows = [
            ("fractional-flag", "jack", "hearts"),
            ("fractional-flag", "queen", "spades"),
            ("fractional-flag", "ten", "clubs"),
            ("fractional-flag", "nine", "diamonds"),
            ("fractional-flag", "3", "clubs"),
            ("shared-seed", "seven", "hearts"),
            ("shared-seed", "eight", "diamonds"),
            ("shared-seed", "nine", "clubs"),
            ("shared-seed", "two", "spades"),
        ];
        for (flag, id, suit) in rows {
            assert_eq!(suit_v2(flag, id), suit, "{flag} {id}");
        }
        assert_eq!(v2("fractional-flag-shorthand", "jon@company.com", 2), 0);
        assert_eq!(v2("fractional-flag-shorthand", "jane@company.com", 2), 1);
        // Its comments on flags that bucket by the targeting key alone.
        assert_eq!((v2("", "jon@company.com", 100), v2("", "user1", 100)), (36, 76));
        // open-feature/rust-sdk-contrib, flagd-evaluation-engine, `bucket_for_uses_unsigned_murmurhash_shift`.
        assert_eq!((hash("flag-", "user"), v2("flag-", "user", 100)), (2_410_693_464, 56));
    }

    #[test]
    fn the_edges_of_the_hash_stay_on_the_line() {
        // flagd-testbed, gherkin/targeting.feature: ids found by search whose hash is exactly this.
        let rows = [
            ("ejOoVL", 0, 0),
            ("bY9fO-", 1, 0),
            ("SI7p-", i32::MAX as u32, 49),
            ("6LvT0", 1 << 31, 50),
            ("ceQdGm", u32::MAX, 99),
        ];
        for (id, expected, bucket) in rows {
            assert_eq!((hash("", id), v2("", id, 100)), (expected, bucket), "{id}");
        }
        assert_eq!(v2("", "ceQdGm", 0), 0);
        assert_eq!(v2("", "ceQdGm", u32::MAX), u32::MAX - 1);
        assert_eq!(v1("", "SI7p-"), 100.0);
        assert!(v1("", "6LvT0") > 100.0, "falls on no variant");
    }
}
