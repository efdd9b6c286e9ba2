//! Is the data itself healthy? Bad health holds: no comparison of these arms is to be believed until it clears.

use liftgate_domain::{HoldCode, Share};
use liftgate_evaluator::{BUCKETS, CONTROL, TREATMENT};
use liftgate_stats::srm_sequential;

use super::{Finding, Look};

/// The analysed arms are of equal share in every stage, so their totals must be equal too. Asked at every look, hence the
/// sequential test.
pub(crate) fn ask_srm(look: &Look<'_>) -> Finding {
    let counts = [look.evidence.units(TREATMENT), look.evidence.units(CONTROL)];
    let [treatment, control] = counts;
    let Ok(srm) = srm_sequential(&counts, &[0.5, 0.5]) else {
        return Finding::pass("no units to compare yet");
    };
    let numbers = format!("{treatment} treatment and {control} control units (p = {:.2e})", srm.p_value);
    if srm.p_value < look.policy.health.srm.alpha {
        Finding::Hold(
            HoldCode::Srm,
            format!("the arms should be of equal size but have {numbers}; find out what loses or adds units"),
        )
    } else {
        Finding::Pass(numbers)
    }
}

pub(crate) fn ask_crossover(look: &Look<'_>) -> Finding {
    let crossed = look.evidence.crossover_units;
    let units = look.evidence.units(TREATMENT).saturating_add(look.evidence.units(CONTROL)).saturating_add(crossed);
    let max = look.policy.health.crossover.max;
    let numbers = format!("{crossed} of {units} units were seen in both arms");
    if exceeds(crossed, units, max) {
        Finding::Hold(HoldCode::Crossover, format!("{numbers}, more than {max}; check how units are identified"))
    } else {
        Finding::Pass(numbers)
    }
}

pub(crate) fn ask_exposure_loss(look: &Look<'_>) -> Finding {
    let dropped = look.evidence.exposures_dropped;
    let logged = look.evidence.units(TREATMENT).saturating_add(look.evidence.units(CONTROL));
    let max = look.policy.health.exposure_loss.max;
    let numbers = format!("{dropped} exposures were lost beside {logged} analysed units");
    if exceeds(dropped, logged.saturating_add(dropped), max) {
        Finding::Hold(HoldCode::ExposureLoss, format!("{numbers}, more than {max}; give ingest more room"))
    } else {
        Finding::Pass(numbers)
    }
}

/// Whether `part` of `whole` is more than the share, in integers.
fn exceeds(part: u64, whole: u64, max: Share) -> bool {
    u128::from(part) * u128::from(BUCKETS) > u128::from(whole) * u128::from(max.parts())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_exceeded_only_beyond_it() {
        let one_percent = Share::from_ppc(1_000).unwrap();
        assert!(!exceeds(0, 0, one_percent));
        assert!(!exceeds(1, 100, one_percent));
        assert!(exceeds(2, 100, one_percent));
        assert!(exceeds(1, 1, one_percent));
        assert!(!exceeds(u64::MAX, u64::MAX, Share::FULL));
    }
}
