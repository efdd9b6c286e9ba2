//! The truth that the demo is to find out: what shoppers do, given what they were served.
//!
//! Pure and seeded: a shopper depends on the seed and the shopper's number alone, never on timing. Every draw is made
//! in the same order whatever was served, so the same shopper differs between variations only by their effect.

use rand::{Rng, SeedableRng, rngs::SmallRng};

/// Conversion of a shopper who sees nothing new.
pub const CONVERSION_BASE: f64 = 0.10;
/// The new checkout takes 10 % to 13 %.
pub const CHECKOUT_FACTOR: f64 = 1.3;
/// The banner lifts conversion by a tenth.
pub const BANNER_FACTOR: f64 = 1.1;
/// Errors of a shopper who has the old search.
pub const ERROR_BASE: f64 = 0.02;
/// Errors of a shopper who has the new search.
pub const ERROR_NEW_SEARCH: f64 = 0.05;
/// How many events are sent twice on purpose.
pub const REPEATED: f64 = 0.01;

const PAGE_MS_MEAN: f64 = 300.0;
const PAGE_MS_SD: f64 = 80.0;
const PAGE_MS_MIN: f64 = 20.0;
const AMOUNT_LN_MEAN: f64 = 3.5;
const AMOUNT_LN_SD: f64 = 0.6;
/// Errors happen this long after the evaluation at the earliest, and at most [`ERROR_SPREAD_MS`] later.
const ERROR_AFTER_MS: f64 = 100.0;
const ERROR_SPREAD_MS: f64 = 800.0;
const PURCHASE_AFTER_MS: f64 = 400.0;
const PURCHASE_SPREAD_MS: f64 = 1_000.0;
/// The second copy of a repeated event follows the first by this much, so that it travels in another batch.
pub const REPEAT_AFTER_MS: i64 = 400;
/// Odd and unlike the generator's own increment, so that neighbouring seeds share no shoppers.
const SEED_STRIDE: u64 = 0xD1B5_4A32_D192_ED03;

/// What one shopper was served: whether each flag was on.
#[derive(Copy, Clone, Debug, Default, Eq, PartialEq)]
pub struct Served {
    /// `new-checkout`.
    pub new_checkout: bool,
    /// `new-search`.
    pub new_search: bool,
    /// `new-footer`, which changes nothing.
    pub new_footer: bool,
    /// `free-shipping-banner`.
    pub banner: bool,
}

/// One thing that a shopper does.
#[derive(Copy, Clone, Debug, PartialEq)]
pub struct Act {
    /// The event's name.
    pub event: &'static str,
    /// How long after the evaluation, in milliseconds.
    pub after_ms: i64,
    /// The event's value: milliseconds of a page view, money of a purchase.
    pub value: Option<f64>,
    /// Whether it is sent twice.
    pub repeated: bool,
}

/// The name of a shopper, and the unit id that is randomized.
pub fn shopper_id(seed: u64, number: u64) -> String {
    format!("s{seed}-u{number}")
}

/// What shopper `number` does when served `served`: a page view, perhaps an error, perhaps a purchase.
pub fn visit(seed: u64, number: u64, served: Served) -> impl Iterator<Item = Act> {
    let mut rng = SmallRng::seed_from_u64(seed.wrapping_mul(SEED_STRIDE).wrapping_add(number));
    let page_ms = (PAGE_MS_MEAN + PAGE_MS_SD * normal(&mut rng)).max(PAGE_MS_MIN);
    let [errs, error_after, buys, purchase_after] = std::array::from_fn(|_| rng.random::<f64>());
    let amount = (AMOUNT_LN_MEAN + AMOUNT_LN_SD * normal(&mut rng)).exp();
    let repeated: [bool; 3] = std::array::from_fn(|_| rng.random::<f64>() < REPEATED);

    let page = Act { event: "page_view", after_ms: page_ms as i64, value: Some(cents(page_ms)), repeated: repeated[0] };
    let error = (errs < error_rate(served)).then_some(Act {
        event: "error",
        after_ms: (ERROR_AFTER_MS + ERROR_SPREAD_MS * error_after) as i64,
        value: None,
        repeated: repeated[1],
    });
    let purchase = (buys < conversion(served)).then_some(Act {
        event: "purchase",
        after_ms: (PURCHASE_AFTER_MS + PURCHASE_SPREAD_MS * purchase_after) as i64,
        value: Some(cents(amount)),
        repeated: repeated[2],
    });
    [Some(page), error, purchase].into_iter().flatten()
}

/// The true conversion under what is served.
pub fn conversion(served: Served) -> f64 {
    let checkout = if served.new_checkout { CHECKOUT_FACTOR } else { 1.0 };
    let banner = if served.banner { BANNER_FACTOR } else { 1.0 };
    CONVERSION_BASE * checkout * banner
}

/// The true error rate under what is served.
pub fn error_rate(served: Served) -> f64 {
    if served.new_search { ERROR_NEW_SEARCH } else { ERROR_BASE }
}

/// A standard normal value by Box and Muller (1958): two uniforms each, so the number of draws never varies.
fn normal(rng: &mut SmallRng) -> f64 {
    let radius = (-2.0 * (1.0 - rng.random::<f64>()).ln()).sqrt();
    let angle = std::f64::consts::TAU * rng.random::<f64>();
    radius * angle.cos()
}

fn cents(value: f64) -> f64 {
    (value * 100.0).round() / 100.0
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHOPPERS: u64 = 200_000;

    fn rate(seed: u64, served: Served, event: &str) -> f64 {
        let hits = (0..SHOPPERS).filter(|n| visit(seed, *n, served).any(|act| act.event == event)).count();
        hits as f64 / SHOPPERS as f64
    }

    #[test]
    fn rates_are_the_stated_truth() {
        let none = Served::default();
        let checkout = Served { new_checkout: true, ..none };
        let both = Served { banner: true, ..checkout };
        let search = Served { new_search: true, ..none };
        let footer = Served { new_footer: true, ..none };
        for (served, event, truth) in [
            (none, "purchase", 0.10),
            (checkout, "purchase", 0.13),
            (both, "purchase", 0.143),
            (footer, "purchase", 0.10),
            (none, "error", 0.02),
            (search, "error", 0.05),
            (none, "page_view", 1.0),
        ] {
            let found = rate(7, served, event);
            let tolerance = 4.5 * (truth * (1.0 - truth) / SHOPPERS as f64).sqrt();
            assert!((found - truth).abs() <= tolerance, "{event} under {served:?}: {found} is not {truth}");
        }
    }

    #[test]
    fn pages_take_what_they_should_and_one_event_in_a_hundred_is_repeated() {
        let acts: Vec<Act> = (0..SHOPPERS).flat_map(|n| visit(3, n, Served::default())).collect();
        let pages: Vec<f64> = acts.iter().filter(|act| act.event == "page_view").filter_map(|act| act.value).collect();
        let mean = pages.iter().sum::<f64>() / pages.len() as f64;
        assert!((mean - 300.0).abs() < 1.0, "{mean}");
        assert!(pages.iter().all(|ms| *ms >= 20.0));
        assert!(acts.iter().all(|act| act.after_ms >= 20 && act.after_ms < 1_500));
        let repeated = acts.iter().filter(|act| act.repeated).count() as f64 / acts.len() as f64;
        assert!((repeated - REPEATED).abs() < 0.001, "{repeated}");
    }

    #[test]
    fn a_shopper_depends_on_seed_and_number_alone() {
        let none = Served::default();
        let of = |seed, n, served| visit(seed, n, served).collect::<Vec<_>>();
        assert_eq!(of(1, 42, none), of(1, 42, none));
        assert_eq!(of(1, 42, none), of(1, 42, Served { new_footer: true, ..none }), "a footer changes nothing");
        let seeds_differ = (0..50).any(|n| of(1, n, none) != of(2, n, none));
        let shoppers_differ = (0..50).any(|n| of(1, n, none) != of(1, n + 1, none));
        assert!(seeds_differ && shoppers_differ);
        // Who buys without the new checkout buys with it, too: only the effect differs.
        for n in 0..5_000 {
            let buys = |served| visit(1, n, served).any(|act| act.event == "purchase");
            assert!(!buys(none) || buys(Served { new_checkout: true, ..none }));
        }
    }
}
