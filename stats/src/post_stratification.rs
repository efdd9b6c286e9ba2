//! Effects within strata (country, platform ...) put together by the strata's sizes: what differs between strata is
//! no longer noise of the comparison.
//!
//! w_k = n_k/n; N = sum w_k N_k, D = sum w_k D_k; v_N = sum w_k^2 v_Nk + Var_w(N_k)/n, v_D likewise,
//! c = sum w_k^2 c_k + Cov_w(N_k, D_k)/n, where Var_w(x) = sum w_k (x_k - x)^2. Assumes strata known before assignment (or untouched by it)
//! and independent units. Reference: Miratrix, Sekhon, Yu (2013, JRSS B); Xie, Aurisset (2016, KDD).

use crate::Effect;
use crate::effect::satterthwaite;

/// The effect over all strata, each given by its own effect; `None` without strata or units, or when a number is not
/// finite.
pub fn combine(strata: &[Effect]) -> Option<Effect> {
    let units: f64 = strata.iter().map(|stratum| stratum.units).sum();
    if units.is_nan() || units <= 0.0 {
        return None;
    }
    let weighted = |of: fn(&Effect) -> f64| strata.iter().map(|it| it.units / units * of(it)).sum::<f64>();
    let (difference, baseline) = (weighted(|it| it.difference), weighted(|it| it.baseline));
    let mut total =
        Effect { difference, variance: 0.0, baseline, baseline_variance: 0.0, covariance: 0.0, df: 1.0, units };
    let mut parts = Vec::with_capacity(strata.len());
    for stratum in strata {
        let w = stratum.units / units;
        let (of_difference, of_baseline) = (stratum.difference - difference, stratum.baseline - baseline);
        total.variance += w * w * stratum.variance + w * of_difference * of_difference / units;
        total.baseline_variance += w * w * stratum.baseline_variance + w * of_baseline * of_baseline / units;
        total.covariance += w * w * stratum.covariance + w * of_difference * of_baseline / units;
        parts.push((w * w * stratum.variance, stratum.df));
    }
    total.df = satterthwaite(&parts);
    total.checked()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Moments;

    fn stratum(n: u64, control: f64, treatment: f64) -> Effect {
        let arm = |mean: f64| Moments { n, mean, m2: n as f64 };
        Effect::of_means(&arm(control), &arm(treatment)).expect("the arms vary")
    }

    #[test]
    fn one_stratum_is_the_effect_itself() {
        let alone = stratum(100, 1.0, 2.0);
        let combined = combine(&[alone]).expect("one stratum");
        assert!((combined.variance - alone.variance).abs() < 1e-15 && combined.difference == alone.difference);
        assert!((combined.df - alone.df).abs() < 1e-9);
    }

    #[test]
    fn strata_of_different_levels_do_not_add_their_levels_to_the_noise() {
        let combined = combine(&[stratum(100, 0.0, 1.0), stratum(300, 50.0, 51.0)]).expect("two strata");
        assert!((combined.difference - 1.0).abs() < 1e-12 && (combined.baseline - 37.5).abs() < 1e-12);
        assert!(combined.variance < 0.01 + 1e-12, "{combined:?}");
        assert_eq!(combine(&[]), None);
    }
}
