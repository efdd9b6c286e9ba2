//! GrowthBook: FNV-1a 32 over UTF-16 code units. Version 1 is `fnv(id + seed) mod 1000 / 1000`; version 2 hashes the
//! decimal digits of the first hash again: `fnv(text(fnv(seed + id))) mod 10000 / 10000`, which removes a bias of the first.
//!
//! Source: `hash` in growthbook/growthbook, `packages/sdk-js/src/util.ts`. Ranges there are `start <= n < end`.

const FNV_OFFSET: u32 = 0x811c_9dc5;
const FNV_PRIME: u32 = 0x0100_0193;

const STEPS_V1: u32 = 1000;
const STEPS_V2: u32 = 10_000;

/// Digits of the largest `u32`.
const DIGITS_MAX: usize = 10;

/// Hash version 1: 0 to below 1, in steps of 0.001.
pub fn v1(seed: &str, id: &str) -> f64 {
    let hash = fnv1a(id.encode_utf16().chain(seed.encode_utf16()));
    f64::from(hash % STEPS_V1) / f64::from(STEPS_V1)
}

/// Hash version 2: 0 to below 1, in steps of 0.0001.
///
/// ```
/// assert_eq!(liftgate_evaluator::dialect::growthbook::v2("seed", "a"), 0.0505);
/// ```
pub fn v2(seed: &str, id: &str) -> f64 {
    let first = fnv1a(seed.encode_utf16().chain(id.encode_utf16()));
    let mut digits = [0; DIGITS_MAX];
    let hash = fnv1a(decimal(first, &mut digits).iter().copied());
    f64::from(hash % STEPS_V2) / f64::from(STEPS_V2)
}

/// One exclusive-or a UTF-16 unit, not a byte: as JavaScript's `charCodeAt` gives them.
fn fnv1a(units: impl Iterator<Item = u16>) -> u32 {
    units.fold(FNV_OFFSET, |hash, unit| (hash ^ u32::from(unit)).wrapping_mul(FNV_PRIME))
}

fn decimal(mut number: u32, digits: &mut [u16; DIGITS_MAX]) -> &[u16] {
    let mut start = DIGITS_MAX;
    for (position, digit) in digits.iter_mut().enumerate().rev() {
        // The remainder is below 10.
        *digit = u16::from(b'0') + (number % 10) as u16;
        start = position;
        number /= 10;
        if number == 0 {
            break;
        }
    }
    &digits[start..]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_are_those_of_growthbook() {
        // growthbook/growthbook, packages/sdk-js/test/cases.json, suite `hash`: all of its versions 1 and 2.
        let rows = [
            ("", "a", 1, 0.22),
            ("", "b", 1, 0.077),
            ("b", "a", 1, 0.946),
            ("ef", "d", 1, 0.652),
            ("asdf", "8952klfjas09ujk", 1, 0.549),
            ("", "123", 1, 0.011),
            ("", "___)((*\":&", 1, 0.563),
            ("seed", "a", 2, 0.0505),
            ("seed", "b", 2, 0.2696),
            ("foo", "ab", 2, 0.2575),
            ("foo", "def", 2, 0.2019),
            ("89123klj", "8952klfjas09ujkasdf", 2, 0.124),
            ("90850943850283058242805", "123", 2, 0.7516),
            ("()**(%$##$%#$#", "___)((*\":&", 2, 0.0128),
            ("bucket-range-rounding", "user-3436", 2, 0.22),
            ("bucket-range-rounding", "user-1177", 2, 0.344),
            ("bucket-range-rounding", "user-427", 2, 0.109),
            ("bucket-range-rounding", "user-68525", 2, 0.818),
            ("bucket-range-rounding", "user-866", 2, 0.172),
            ("bucket-range-rounding", "user-74", 1, 0.287),
            ("bucket-range-rounding", "user-549", 1, 0.344),
            ("", "josé", 1, 0.586),
            ("", "josé", 2, 0.1315),
            ("", "用户123", 2, 0.3071),
            ("", "😀", 2, 0.4971),
            ("expérience", "123", 2, 0.9001),
        ];
        for (seed, id, version, expected) in rows {
            let found = if version == 1 { v1(seed, id) } else { v2(seed, id) };
            assert_eq!(found, expected, "{seed:?} {id:?} {version}");
        }
    }

    #[test]
    fn digits_are_those_of_the_number() {
        for number in [0, 1, 9, 10, 99, 1_000_000, u32::MAX - 1, u32::MAX] {
            let mut digits = [0; DIGITS_MAX];
            assert_eq!(String::from_utf16(decimal(number, &mut digits)).unwrap(), number.to_string());
        }
    }
}
