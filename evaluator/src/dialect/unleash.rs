//! Unleash: `murmur3_32("group:id", seed) mod n + 1`, with one seed for the gradual rollout and one for variants.
//! The group of a rollout is the strategy's `groupId`; of variants, the flag's name, or the strategy's `groupId`.
//!
//! Source: `normalized_hash` of Unleash's engine (Unleash/yggdrasil), `src/strategy/util.ts` of unleash-client-node.

use std::io::Read;
use std::num::NonZeroU32;

/// The seed of the gradual rollout.
const ROLLOUT_SEED: u32 = 0;
/// The seed of variants: another one, so that being early in a rollout says nothing about the variant.
const VARIANT_SEED: u32 = 86_028_157;
/// A rollout goes in percent.
const ROLLOUT_STEPS: NonZeroU32 = NonZeroU32::new(100).expect("it is not 0");

/// The place of a unit in a gradual rollout, 1 to 100. It is in at a rollout of `r` percent when the place is at most `r`.
///
/// ```
/// assert_eq!(liftgate_evaluator::dialect::unleash::rollout("Feature.flexibleRollout.10", "174"), 10);
/// ```
pub fn rollout(group: &str, id: &str) -> u32 {
    place(group, id, ROLLOUT_STEPS, ROLLOUT_SEED)
}

/// The place of a unit among variants, 1 to `total_weight`. It gets the first variant at which the weights so far add up
/// to at least the place.
pub fn variant(group: &str, id: &str, total_weight: NonZeroU32) -> u32 {
    place(group, id, total_weight, VARIANT_SEED)
}

fn place(group: &str, id: &str, steps: NonZeroU32, seed: u32) -> u32 {
    let hash = super::murmur3(group.as_bytes().chain(&b":"[..]).chain(id.as_bytes()), seed);
    // A remainder is below `steps`, so that one more still fits.
    hash % steps + 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rollouts_are_those_of_unleash() {
        // unleash-client-node, src/test/strategy/util.test.ts: the same across its node, java and go clients.
        for (id, group, place) in [("123", "gr1", 73), ("999", "groupX", 25)] {
            assert_eq!(rollout(group, id), place, "{group}:{id}");
        }
        // Unleash/client-specification, specifications/10-flexible-rollout-strategy.json.
        let rows = [
            ("Feature.flexibleRollout.10", "174", 10, true),
            ("Feature.flexibleRollout.10", "499", 10, false),
            ("Feature.flexibleRollout.userId.55", "25", 55, true),
            ("Feature.flexibleRollout.sessionId.42", "147", 42, true),
        ];
        for (group, id, percent, is_in) in rows {
            assert_eq!(rollout(group, id) <= percent, is_in, "{group}:{id}");
        }
        assert_eq!(rollout("Feature.flexibleRollout.10", "174"), 10);
    }

    #[test]
    fn variants_are_those_of_unleash() {
        let (two, hundred) = (NonZeroU32::new(2).unwrap(), NonZeroU32::new(100).unwrap());
        // Unleash/unleash-client-java, src/test/java/io/getunleash/strategy/StrategyUtilsTest.java.
        for (id, group, place) in [("123", "gr1", 96), ("999", "groupX", 60)] {
            assert_eq!(variant(group, id, hundred), place, "{group}:{id}");
        }
        // Unleash/client-specification, specifications/16-strategy-variants.json: the first and the second of weights 1 and 1.
        for (id, place) in [("5", 1), ("0", 2)] {
            assert_eq!(variant("a", id, two), place, "a:{id}");
        }
    }

    #[test]
    fn places_stay_on_the_line_whatever_the_weights() {
        assert_eq!(variant("gr1", "123", NonZeroU32::MIN), 1);
        for id in 0..1000 {
            assert!((1..=100).contains(&rollout("group", &id.to_string())));
            assert!(variant("group", &id.to_string(), NonZeroU32::MAX) >= 1);
        }
    }
}
