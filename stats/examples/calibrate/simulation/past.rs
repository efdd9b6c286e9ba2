//! Units that are known from before the experiment: what they do now, and what they did then.

use rand::rngs::SmallRng;

use super::chance::{beta, binomial, gamma, normal, poisson};

/// Of a unit's value now and before.
pub const CORRELATION: f64 = 0.7;
/// Standard deviation of both.
const SD: f64 = 3.0;
/// Mean of the value before.
const PAST_MEAN: f64 = 10.0;

/// A value with this mean, and the one from before.
pub fn value_with_past(rng: &mut SmallRng, mean: f64) -> [f64; 2] {
    let past = normal(rng);
    let now = CORRELATION * past + (1.0 - CORRELATION * CORRELATION).sqrt() * normal(rng);
    [mean + SD * now, PAST_MEAN + SD * past]
}

/// Of all views a tenth fails, units differ.
pub const ERROR_RATE: f64 = 0.1;
const CONCENTRATION: f64 = 5.0;
/// Beyond the first.
const VIEWS: f64 = 4.0;

/// Errors and views now, then those from before. A unit stays as active and as unlucky as it was, but now its error rate is
/// `factor` (at most 1) times what it was.
pub fn errors_with_past(rng: &mut SmallRng, factor: f64) -> [f64; 4] {
    let views = VIEWS * gamma(rng, 1.0);
    let rate = beta(rng, CONCENTRATION * ERROR_RATE, CONCENTRATION * (1.0 - ERROR_RATE));
    let mut period = |rate: f64| {
        let views = 1 + poisson(rng, views);
        [f64::from(binomial(rng, views, rate)), f64::from(views)]
    };
    let ([errors, views], [errors_before, views_before]) = (period(factor * rate), period(rate));
    [errors, views, errors_before, views_before]
}
