//! Is the evidence clean enough to go on? Neither a suspect nor an undetermined guardrail ever advances, and neither
//! rolls back.

use liftgate_domain::HoldCode;
use liftgate_stats::Verdict;

use super::{Finding, Look, e_value};
use crate::{GuardrailReading, policy::Require};

/// An e-value from here on is a suspicion.
pub(crate) const SUSPECT_E: f64 = 5.0;

pub(crate) fn ask(look: &Look<'_>) -> Finding {
    if !look.stage.is_analysed() {
        return Finding::pass("nobody is compared at this share");
    }
    match look.readings.iter().find_map(|reading| complaint(reading, look.stage.require)) {
        Some(detail) => Finding::Hold(HoldCode::SignalBad, detail),
        None => Finding::pass("no guardrail is suspect or undetermined"),
    }
}

fn complaint(reading: &GuardrailReading, require: Option<Require>) -> Option<String> {
    let GuardrailReading { metric, assessment, .. } = reading;
    if assessment.verdict == Verdict::Undetermined {
        let reason = assessment
            .reason
            .map_or_else(|| "no reason known".to_owned(), |reason| reason.to_string().trim_end_matches('.').to_owned());
        return Some(format!("guardrail `{metric}` cannot be determined: {reason}"));
    }
    // Written so that an e-value that is not a number is suspect too.
    let is_clean = assessment.log_e_harm < SUSPECT_E.ln();
    if !is_clean {
        let e_value = e_value(assessment.log_e_harm);
        return Some(format!(
            "guardrail `{metric}` is suspect: e-value {e_value:.1}; it opens below {SUSPECT_E:.0}, and harm is \
             declared at {:.0}",
            1.0 / reading.alpha_g
        ));
    }
    if require == Some(Require::Safe) && assessment.verdict != Verdict::Safe {
        return Some(format!("guardrail `{metric}` must be safe before the next stage and is undecided"));
    }
    None
}
