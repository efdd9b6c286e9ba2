//! Quantiles of events (page load p95) when the unit is a cluster of events: a user's slow pages are slow together.
//!
//! The share of events up to the quantile q is a ratio over units, with variance V_I by its influence; the quantile
//! function turns it into time: Var(q) = V_I ((q_U - q_L)/(p_U - p_L))^2, where q_L and q_U are the values at
//! p_L, p_U = nu -+ z sqrt(nu (1 - nu)/N) of all N events. This is the outer interval of order statistics, times
//! V_I/(nu (1 - nu)/N). Assumes a density that is smooth between q_L and q_U, and many units.
//! Reference: Deng, Knoblich, Lu (2018, KDD), section 4.
//!
//! For guardrails: [`indicator`] with cuts frozen from earlier control data, whose units are left out.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{JointMoments, Moments, ratio, special};

/// Two-sided error at which the neighbouring quantiles are read.
const NEIGHBOUR_ALPHA: f64 = 0.05;

/// A quantile of an arm's events, with its neighbours.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct QuantileReading {
    /// The quantile.
    pub value: f64,
    /// The value at `lower_probability`.
    pub lower: f64,
    /// The value at `upper_probability`.
    pub upper: f64,
    /// A probability below the one asked for, see [`neighbours`].
    pub lower_probability: f64,
    /// A probability above.
    pub upper_probability: f64,
}

/// The probabilities at which an arm's neighbouring quantiles are read: nu -+ z sqrt(nu (1 - nu)/N), kept within the
/// order statistics there are. `None` unless 0 < `probability` < 1 and there are at least 2 `events`.
pub fn neighbours(probability: f64, events: u64) -> Option<(f64, f64)> {
    if !(probability > 0.0 && probability < 1.0) || events < 2 {
        return None;
    }
    let events = events as f64;
    let half =
        -special::normal_quantile(0.5 * NEIGHBOUR_ALPHA) * libm::sqrt(probability * (1.0 - probability) / events);
    let (first, last) = (0.5 / events, 1.0 - 0.5 / events);
    Some(((probability - half).max(first), (probability + half).min(last)))
}

/// A quantile as moments of one value a unit: mean q, and the squares that give Var(q). `joint` has the unit's number of
/// events up to q first and its number of events second. `None` when it cannot be: fewer than two units, no events,
/// readings out of order, or a number that is not finite.
pub fn linearize(reading: &QuantileReading, joint: &JointMoments) -> Option<Moments> {
    let share = ratio::linearize(joint)?;
    let width = reading.upper_probability - reading.lower_probability;
    let slope = (reading.upper - reading.lower) / width;
    let is_ordered = width > 0.0 && reading.lower <= reading.value && reading.value <= reading.upper;
    let moments = Moments { n: joint.n, mean: reading.value, m2: share.m2 * slope * slope };
    (is_ordered && moments.is_valid()).then_some(moments)
}

/// An arm's share of events up to a frozen cut, as moments of one value a unit, for the guardrail monitor: with the
/// control's cut at q and the treatment's at q + margin, "not harmed" is share_T >= share_C, an absolute margin of 0 that
/// a decrease harms. Ties are fine, and it is mergeable. The cut must come from control units that are left out here.
/// `joint` has the unit's events up to the cut first and its events second.
pub fn indicator(joint: &JointMoments) -> Option<Moments> {
    ratio::linearize(joint)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_event_a_unit_gives_the_binomial_variance() {
        // 1 000 units with one event each, 950 of them up to q: V_I = .95 * .05 / n.
        let mut joint = JointMoments::new(2);
        (0..1_000).for_each(|i| joint.push(&[f64::from(u8::from(i < 950)), 1.0]));
        let (lower_probability, upper_probability) = neighbours(0.95, 1_000).expect("a probability");
        assert!((upper_probability - 0.95 - 1.959_963_985 * (0.95_f64 * 0.05 / 1_000.0).sqrt()).abs() < 1e-9);
        let reading = QuantileReading { value: 10.0, lower: 9.0, upper: 11.0, lower_probability, upper_probability };
        let found = linearize(&reading, &joint).expect("the events vary");
        // Then the standard error is (q_U - q_L)/(2 z).
        let se = (found.m2 / 999.0 / 1_000.0_f64).sqrt();
        assert!((se / (2.0 / (2.0 * 1.959_963_985)) - 1.0).abs() < 1e-3, "{se}");
    }

    #[test]
    fn readings_out_of_order_are_refused() {
        let mut joint = JointMoments::new(2);
        [[1.0, 1.0], [0.0, 1.0], [1.0, 2.0]].iter().for_each(|row| joint.push(row));
        let good =
            QuantileReading { value: 2.0, lower: 1.0, upper: 3.0, lower_probability: 0.4, upper_probability: 0.6 };
        assert!(linearize(&good, &joint).is_some());
        for bad in [
            QuantileReading { value: 4.0, ..good },
            QuantileReading { lower_probability: 0.6, ..good },
            QuantileReading { lower: f64::NAN, ..good },
        ] {
            assert_eq!(linearize(&bad, &joint), None, "{bad:?}");
        }
        assert_eq!(neighbours(1.0, 10), None);
        assert_eq!(neighbours(0.5, 1), None);
    }
}
