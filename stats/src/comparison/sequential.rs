//! A statement that is valid at every look together: the normal mixture of `anytime` on the effect.
//!
//! x = N rho^2 with N units in both arms, interval N +- c(x, a) SE, p = min(1, 1/e). Only matured units may enter. The mixture
//! is asymptotic, so it begins after a burn-in that depends on sizes and totals only: 50 units an arm; of 0/1 data 20
//! events and 20 non-events in both arms together. Reference: Waudby-Smith, Arbour, Sinha, Kennedy, Ramdas (2024).

use super::{Comparison, Plan, Sample, Warning};
use crate::Outcome;
use crate::anytime::{Tuning, ln_e_value, multiplier, p_value};

/// Fewest units in each arm.
const BURN_IN_UNITS: u64 = 50;
/// Fewest events, and fewest non-events, of 0/1 data in both arms together.
const BURN_IN_EVENTS: u64 = 20;

pub(super) fn fill(comparison: &mut Comparison, plan: &Plan, sample: &Sample) -> Result<(), Warning> {
    is_burnt_in(sample)?;
    let effect = sample.effect?;
    if !comparison.has_variance(sample, &effect) {
        return Ok(());
    }
    let tuning = Tuning::two_sided(plan.alpha, plan.tuned_at).ok_or(Warning::BadPlan)?;
    let information = tuning.information(effect.units);
    let z = effect.statistic().ok_or(Warning::NotFinite)?;
    let critical = multiplier(information, plan.alpha);
    comparison.fill_intervals(plan, &effect, critical)?;
    let log_e = ln_e_value(z, information);
    comparison.statistic = Some(z);
    comparison.log_e = log_e.is_finite().then_some(log_e);
    comparison.p_value = Some(p_value(z, information));
    Ok(())
}

/// Whether there is enough for the mixture.
pub(super) fn is_burnt_in(sample: &Sample) -> Result<(), Warning> {
    let (control, treatment) = (&sample.control, &sample.treatment);
    let is_enough = match sample.outcome {
        Outcome::Mean => control.n.min(treatment.n) >= BURN_IN_UNITS,
        Outcome::Binary => {
            let (Some(of_control), Some(of_treatment)) = (control.events(), treatment.events()) else {
                return Err(Warning::NotCounts);
            };
            let events = of_control.saturating_add(of_treatment);
            let units = control.n.saturating_add(treatment.n);
            events.min(units - events.min(units)) >= BURN_IN_EVENTS
        }
    };
    if is_enough { Ok(()) } else { Err(Warning::BurnIn) }
}
