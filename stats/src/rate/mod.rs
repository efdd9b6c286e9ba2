//! Two Poisson rates (errors an hour, purchases a user-day) compared exactly, given the events of both together.
//!
//! Given n = x_T + x_C, x_T is binomial with odds R e_T/e_C for a ratio of rates R and exposures e, whatever the rates
//! are. The test is in `two_sided`, the interval that agrees with it in `bounds`. Assumes Poisson counts: events that
//! come in bursts, or several from one unit, vary more than that and make this test too eager; compare means or
//! ratios over units then. Reference: Przyborowski and Wilenski (1940); Fay (2010) on agreement of test and interval.

mod bounds;
mod law;
mod two_sided;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use law::Law;

/// More events than this are not told apart by doubles.
const EVENTS_MAX: u64 = 1 << 53;
/// Exposures farther apart than this are a mistake, and their ratio with counts may leave the doubles.
const EXPOSURE_RATIO_MAX: f64 = 1e100;

/// Events of an arm and what they are counted over.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rate {
    /// How many events.
    pub events: u64,
    /// Time, units or any other measure, the same for both arms; positive.
    pub exposure: f64,
}

/// What makes an outcome as extreme as the one seen, on both sides.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum TwoSided {
    /// Every outcome that is at most as likely; what R's `poisson.test` and statsmodels' `exact-cond` print.
    #[default]
    MinLikelihood,
    /// Twice the smaller tail: never more than alpha/2 of false positives on either side.
    Central,
    /// Twice the smaller tail with half the probability of the outcome itself: closer to alpha, at times above it.
    MidP,
}

/// Treatment's rate beside control's.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct RateComparison {
    /// Which two-sided test.
    pub two_sided: TwoSided,
    /// Two-sided, against equal rates.
    pub p_value: f64,
    /// The ratio of rates, treatment to control.
    pub ratio: RateRatio,
}

/// A ratio with its interval; what is unbounded is absent.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RateRatio {
    /// The estimate; absent when control has no events.
    pub value: Option<f64>,
    /// Lower end; 0 when treatment has no events.
    pub lower: f64,
    /// Upper end; absent when control has no events, since any larger ratio is possible then.
    pub upper: Option<f64>,
}

impl RateRatio {
    /// Whether the interval leaves `ratio` open.
    pub fn contains(&self, ratio: f64) -> bool {
        self.lower <= ratio && self.upper.is_none_or(|upper| ratio <= upper)
    }
}

/// Why two rates could not be compared.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, thiserror::Error)]
#[serde(rename_all = "snake_case")]
pub enum RateError {
    /// `alpha` must lie between 0 and 1, both excluded.
    #[error("alpha `{0}` is not between 0 and 1")]
    Alpha(f64),
    /// An exposure must be finite and positive, and so must be their ratio.
    #[error("exposure `{0}` cannot be compared with the other arm's")]
    Exposure(f64),
    /// Without any event nothing can be said about a ratio.
    #[error("no event was counted in either arm")]
    NoEvents,
    /// Counts this large are not counts of events.
    #[error("`{0}` events are more than can be compared")]
    TooManyEvents(u64),
}

/// Compares the rates at two-sided `alpha`: p < alpha exactly when the interval excludes 1.
///
/// # Errors
/// See [`RateError`].
pub fn compare_rates(
    control: Rate,
    treatment: Rate,
    two_sided: TwoSided,
    alpha: f64,
) -> Result<RateComparison, RateError> {
    if !(f64::MIN_POSITIVE..1.0).contains(&alpha) {
        return Err(RateError::Alpha(alpha));
    }
    for rate in [control, treatment] {
        if !(rate.exposure.is_finite() && rate.exposure > 0.0) {
            return Err(RateError::Exposure(rate.exposure));
        }
        if rate.events > EVENTS_MAX {
            return Err(RateError::TooManyEvents(rate.events));
        }
    }
    let exposures = treatment.exposure / control.exposure;
    if !(1.0 / EXPOSURE_RATIO_MAX..=EXPOSURE_RATIO_MAX).contains(&exposures) {
        return Err(RateError::Exposure(treatment.exposure));
    }
    let events = treatment.events + control.events;
    if events == 0 {
        return Err(RateError::NoEvents);
    }
    let law = Law { x: treatment.events, n: events };
    let log_exposures = libm::log(exposures);
    let p_value = two_sided::p_value(law, log_exposures, two_sided);
    let bounds = bounds::log_odds(law, log_exposures, two_sided, alpha);
    let ratio = |log_odds: f64| libm::exp(log_odds - log_exposures);
    let value = treatment.events as f64 / control.events as f64 / exposures;
    let lower = bounds.lower.map_or(0.0, ratio);
    Ok(RateComparison {
        two_sided,
        p_value,
        ratio: RateRatio {
            value: (control.events > 0).then_some(value),
            lower,
            // Near alpha = 1 both ends meet, up to rounding.
            upper: bounds.upper.map(|upper| ratio(upper).max(lower)).filter(|upper| upper.is_finite()),
        },
    })
}
