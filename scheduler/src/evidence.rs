//! All that a decision may know of the world: one warehouse answer, and what evaluation lost. Written into records with
//! every float as its bits.

use liftgate_domain::{ArmCount, Cell, Key, MomentsAnswer, Timestamp, Watermark};
use liftgate_evaluator::{CONTROL, TREATMENT};
use liftgate_stats::{Moments, Stratum, ratio};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::{Policy, bits::Bits};

/// What one look saw.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Evidence {
    /// How far the rows reached.
    pub watermark: Watermark,
    /// The watermark's time: matured units are those whose window and lateness ended by then.
    pub as_of: Option<Timestamp>,
    /// Matured units per metric, in the policy's order.
    pub guardrails: Vec<GuardrailEvidence>,
    /// All first exposures by stage and arm, matured or not.
    pub arms: Vec<ArmCount>,
    /// Units served the treatment by this run, analysed or not.
    pub treated_units: u64,
    /// Units seen in both arms.
    pub crossover_units: u64,
    /// Exposures lost before they were logged.
    pub exposures_dropped: u64,
    /// The newest treatment exposure.
    pub last_treatment_at: Option<Timestamp>,
    /// The newest control exposure.
    pub last_control_at: Option<Timestamp>,
    /// Why the warehouse could not answer; everything above is empty then.
    pub warehouse_error: Option<String>,
}

/// The matured units of one metric.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GuardrailEvidence {
    /// The metric.
    pub metric: Key,
    /// By stage of first exposure, in order.
    #[serde(serialize_with = "write_strata", deserialize_with = "read_strata")]
    pub strata: Vec<Stratum>,
}

impl Evidence {
    /// The evidence for a policy's guardrails in a warehouse's answer. `exposures_dropped` as [`crate::ExposureLoss`]
    /// counts them.
    pub fn from_answer(policy: &Policy, answer: MomentsAnswer, exposures_dropped: u64) -> Self {
        let mut guardrails: Vec<GuardrailEvidence> = Vec::new();
        for guardrail in &policy.guardrails.metrics {
            if guardrails.iter().all(|known| known.metric != guardrail.metric) {
                let strata = strata_of(&guardrail.metric, &answer);
                guardrails.push(GuardrailEvidence { metric: guardrail.metric.clone(), strata });
            }
        }
        Self {
            as_of: answer.watermark.time(),
            watermark: answer.watermark,
            guardrails,
            arms: answer.arms,
            treated_units: answer.treated_units,
            crossover_units: answer.crossover_units,
            exposures_dropped,
            last_treatment_at: answer.last_treatment_at,
            last_control_at: answer.last_control_at,
            warehouse_error: None,
        }
    }

    /// The evidence of a look at which the warehouse could not answer.
    pub fn unavailable(error: String) -> Self {
        Self { warehouse_error: Some(error), ..Self::default() }
    }

    /// The strata of a metric; none when it has no matured unit.
    pub fn strata(&self, metric: &Key) -> &[Stratum] {
        let found = self.guardrails.iter().find(|known| known.metric == *metric);
        found.map_or(&[], |known| known.strata.as_slice())
    }

    /// Units of an arm, over all stages.
    pub fn units(&self, arm: &str) -> u64 {
        let counts = self.arms.iter().filter(|count| count.arm == arm).map(|count| count.units);
        counts.fold(0, u64::saturating_add)
    }
}

fn strata_of(metric: &Key, answer: &MomentsAnswer) -> Vec<Stratum> {
    let mut strata: Vec<Stratum> = Vec::new();
    for cell in answer.cells.iter().filter(|cell| cell.metric == *metric) {
        let place = strata.binary_search_by_key(&cell.stage, |stratum| stratum.stage);
        let index = place.unwrap_or_else(|index| {
            let empty = Stratum { stage: cell.stage, treatment: Moments::default(), control: Moments::default() };
            strata.insert(index, empty);
            index
        });
        match cell.arm.as_str() {
            TREATMENT => strata[index].treatment = unit_values(cell),
            CONTROL => strata[index].control = unit_values(cell),
            _ => {}
        }
    }
    strata
}

/// One value a unit: of a ratio (numerator and denominator together) its influence, of all else the value itself. A ratio
/// without any denominator yet is an arm without units: nothing can be said of it.
fn unit_values(cell: &Cell) -> Moments {
    match &cell.joint {
        Some(joint) if joint.variables() > 1 => ratio::linearize(joint).unwrap_or_default(),
        _ => cell.moments,
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct StratumBits {
    stage: u32,
    treatment: MomentsBits,
    control: MomentsBits,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct MomentsBits {
    n: u64,
    mean: Bits,
    m2: Bits,
}

impl From<&Moments> for MomentsBits {
    fn from(moments: &Moments) -> Self {
        Self { n: moments.n, mean: Bits(moments.mean), m2: Bits(moments.m2) }
    }
}

impl From<MomentsBits> for Moments {
    fn from(bits: MomentsBits) -> Self {
        Self { n: bits.n, mean: bits.mean.0, m2: bits.m2.0 }
    }
}

fn write_strata<S: Serializer>(strata: &[Stratum], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(strata.iter().map(|stratum| StratumBits {
        stage: stratum.stage,
        treatment: (&stratum.treatment).into(),
        control: (&stratum.control).into(),
    }))
}

fn read_strata<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Stratum>, D::Error> {
    let strata = Vec::<StratumBits>::deserialize(deserializer)?;
    let read = |bits: StratumBits| Stratum {
        stage: bits.stage,
        treatment: bits.treatment.into(),
        control: bits.control.into(),
    };
    Ok(strata.into_iter().map(read).collect())
}

#[cfg(test)]
mod tests {
    use liftgate_stats::JointMoments;

    use super::*;

    #[test]
    fn a_ratio_is_read_by_its_influence_and_a_mean_as_it_is() {
        let mut joint = JointMoments::new(2);
        [[3.0, 5.0], [0.0, 2.0], [4.0, 4.0], [1.0, 9.0]].iter().for_each(|row| joint.push(row));
        let cell = |joint: Option<JointMoments>| Cell {
            metric: "m".parse().unwrap(),
            slice: None,
            stage: 0,
            arm: TREATMENT.to_owned(),
            moments: Moments { n: 4, mean: 2.0, m2: 10.0 },
            joint,
        };
        assert_eq!(unit_values(&cell(Some(joint.clone()))).mean, 0.4);
        assert_eq!(unit_values(&cell(None)).mean, 2.0);
        let empty = JointMoments { mean: vec![0.0, 0.0], ..joint };
        assert_eq!(unit_values(&cell(Some(empty))), Moments::default());
    }

    #[test]
    fn survives_its_text_bit_for_bit() {
        let odd = Moments { n: 3, mean: 0.1 + 0.2, m2: f64::NAN };
        let evidence = Evidence {
            guardrails: vec![GuardrailEvidence {
                metric: "errors".parse().unwrap(),
                strata: vec![Stratum { stage: 1, treatment: odd, control: Moments::default() }],
            }],
            ..Evidence::default()
        };
        let text = serde_json::to_string(&evidence).unwrap();
        let back: Evidence = serde_json::from_str(&text).unwrap();
        assert_eq!(serde_json::to_string(&back).unwrap(), text);
        assert_eq!(back.guardrails[0].strata[0].treatment.mean.to_bits(), (0.1_f64 + 0.2).to_bits());
        assert!(back.guardrails[0].strata[0].treatment.m2.is_nan());
    }
}
