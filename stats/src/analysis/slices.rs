//! Does the effect differ between slices of the population? Each slice's effect, each slice against the rest, and
//! Cochran's Q over all.
//!
//! Q = sum w_k (d_k - d)^2 with w_k = 1/Var(d_k), d = sum w_k d_k / sum w_k, chi-square with K - 1 degrees of freedom; I^2 =
//! max(0, 1 - (K-1)/Q). Slice against the rest: z = (d_k - d_rest)/sqrt(Var_k + Var_rest). Over slices the false discovery
//! rate is controlled (Benjamini and Hochberg). Assumes slices fixed before treatment. Reference: Cochran (1954); Higgins,
//! Thompson (2002).

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::FieldError;
use super::arm::ArmInput;
use super::metric::{ArmComparison, Arms, Kind, MetricData, SLICES_MAX, compare_arms, control_of, increase};
use crate::multiplicity::{Correction, adjust_p_values};
use crate::{Comparison, Direction, Model, Plan, special};

/// Slices of one metric, as they are written.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SlicesRequest {
    /// A label, repeated in the answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// What the metric measures.
    #[serde(default)]
    pub kind: Kind,
    /// Which way is better.
    #[serde(default = "increase")]
    pub direction: Direction,
    /// The arm that the others are compared with; the first one when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub control: Option<String>,
    /// The slices, two or more; together they are the population.
    pub slices: Vec<SliceInput>,
    /// How to compare within a slice.
    #[serde(default)]
    pub plan: Plan,
}

/// The arms within a slice.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SliceInput {
    /// The slice's name, such as `country=DE`.
    pub slice: String,
    /// The arms.
    pub arms: Vec<ArmInput>,
}

/// What the slices say.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SlicesAnswer {
    /// Each slice by itself.
    pub slices: Vec<SliceComparison>,
    /// Whether the effect differs between slices, an arm each.
    pub heterogeneity: Vec<Heterogeneity>,
}

/// A slice by itself.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SliceComparison {
    /// The slice.
    pub slice: String,
    /// Each treatment.
    pub comparisons: Vec<ArmComparison>,
    /// Each treatment's effect here against that in all other slices.
    pub against_rest: Vec<AgainstRest>,
}

/// A slice's effect against the effect in all others.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct AgainstRest {
    /// The treatment.
    pub arm: String,
    /// The effect here minus the effect elsewhere; absent when either is not known.
    pub difference: Option<f64>,
    /// Two-sided.
    pub p_value: Option<f64>,
    /// The same over all slices of this arm, Benjamini and Hochberg.
    pub p_adjusted: Option<f64>,
}

/// Whether an arm's effect differs between slices.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Heterogeneity {
    /// The treatment.
    pub arm: String,
    /// Slices that have an effect with a standard error.
    pub slices: u32,
    /// Cochran's Q; absent below two such slices.
    pub q: Option<f64>,
    /// Degrees of freedom.
    pub df: Option<u32>,
    /// P(Q or more) when the effect is the same everywhere.
    pub p_value: Option<f64>,
    /// Share of the variation between slices that is not chance.
    pub i_squared: Option<f64>,
}

impl SlicesRequest {
    /// Analyses the slices.
    ///
    /// # Errors
    /// The field that cannot be used.
    pub fn analyze(&self) -> Result<SlicesAnswer, FieldError> {
        let model = self.kind.model();
        if self.slices.len() < 2 || self.slices.len() > SLICES_MAX {
            return Err(FieldError::new("slices", format!("2 to {SLICES_MAX} slices are needed")));
        }
        let mut slices = Vec::with_capacity(self.slices.len());
        for (index, slice) in self.slices.iter().enumerate() {
            let arms = Arms::read(&slice.arms, model).map_err(|error| error.inside(&format!("slices[{index}]")))?;
            slices.push((slice.slice.clone(), arms));
        }
        let variables = |arms: &Arms| arms.arms.first().map(|(_, arm)| arm.joint.variables());
        if let Some(index) = slices.iter().position(|(_, arms)| variables(arms) != variables(&slices[0].1)) {
            return Err(FieldError::new(format!("slices[{index}].arms"), "have other variables than the first slice"));
        }
        let control = control_of(self.control.as_deref(), &slices[0].1)?;
        Ok(analyze_slices(&self.plan, model, self.direction, &control, &slices))
    }
}

/// Effects by slice, each against the rest, and their heterogeneity.
pub fn analyze_slices(
    plan: &Plan,
    model: Model,
    direction: Direction,
    control: &str,
    slices: &[(String, Arms)],
) -> SlicesAnswer {
    let compare = |arms: Arms| {
        let metric = MetricData { model, direction, arms, strata: Vec::new() };
        compare_arms(plan, &metric, control)
    };
    let sums = Sums::of(slices);
    let mut answer = SlicesAnswer::default();
    for (index, (slice, arms)) in slices.iter().enumerate() {
        let comparisons = compare(arms.clone());
        // A quantile of several slices is not known from theirs.
        let rest = if model == Model::Quantile {
            Vec::new()
        } else {
            compare(Arms::merged([&sums.before[index], &sums.behind[index]]))
        };
        let against_rest = comparisons
            .iter()
            .map(|here| {
                let elsewhere = rest.iter().find(|elsewhere| elsewhere.arm == here.arm);
                against(here, elsewhere.map(|elsewhere| &elsewhere.comparison))
            })
            .collect();
        answer.slices.push(SliceComparison { slice: slice.clone(), comparisons, against_rest });
    }
    adjust(&mut answer);
    let mut arms: Vec<&str> = Vec::new();
    for (_, slice) in slices {
        arms.extend(slice.arms.iter().map(|(name, _)| name.as_str()).filter(|name| *name != control));
    }
    let mut seen: Vec<&str> = Vec::new();
    for arm in arms {
        if !seen.contains(&arm) {
            seen.push(arm);
        }
    }
    answer.heterogeneity = seen.into_iter().map(|arm| heterogeneity(arm, &answer.slices)).collect();
    answer
}

/// All slices before each one, and all behind it: what is left when it is taken out, without adding up all others for each.
struct Sums {
    before: Vec<Arms>,
    behind: Vec<Arms>,
}

impl Sums {
    fn of(slices: &[(String, Arms)]) -> Self {
        let running = |arms: &mut dyn Iterator<Item = &Arms>| {
            let mut sum = Arms::default();
            let mut sums = Vec::with_capacity(slices.len());
            for arms in arms {
                sums.push(sum.clone());
                sum = Arms::merged([&sum, arms]);
            }
            sums
        };
        let before = running(&mut slices.iter().map(|(_, arms)| arms));
        let mut behind = running(&mut slices.iter().rev().map(|(_, arms)| arms));
        behind.reverse();
        Self { before, behind }
    }
}

/// A difference with its variance, from whichever test gave it.
fn spread(comparison: &Comparison) -> Option<(f64, f64)> {
    let difference = comparison.difference?;
    // Score intervals have no one standard error; the unpooled one is read from the arms.
    let variance = match comparison.absolute.and_then(|absolute| absolute.se) {
        Some(se) => se * se,
        None => {
            let of = |arm: &crate::Moments| arm.variance().map(|variance| variance / arm.n as f64);
            of(&comparison.control)? + of(&comparison.treatment)?
        }
    };
    (variance > 0.0 && variance.is_finite()).then_some((difference, variance))
}

fn against(here: &ArmComparison, rest: Option<&Comparison>) -> AgainstRest {
    let mut found = AgainstRest { arm: here.arm.clone(), difference: None, p_value: None, p_adjusted: None };
    if let (Some((d, v)), Some((d_rest, v_rest))) = (spread(&here.comparison), rest.and_then(spread)) {
        let z = (d - d_rest) / libm::sqrt(v + v_rest);
        if z.is_finite() {
            found.difference = Some(d - d_rest);
            found.p_value = Some((2.0 * special::normal_sf(z.abs())).min(1.0));
        }
    }
    found
}

/// Benjamini and Hochberg over the slices of each arm; a slice that could not be tested stays in the count.
fn adjust(answer: &mut SlicesAnswer) {
    let arms: Vec<String> = answer
        .slices
        .first()
        .map_or_else(Vec::new, |first| first.against_rest.iter().map(|found| found.arm.clone()).collect());
    for arm in arms {
        let mut tests: Vec<&mut AgainstRest> = answer
            .slices
            .iter_mut()
            .flat_map(|slice| &mut slice.against_rest)
            .filter(|found| found.arm == arm)
            .collect();
        let p_values: Vec<Option<f64>> = tests.iter().map(|found| found.p_value).collect();
        // The level only marks rejections, which are not used here; p-values from a survival function are valid.
        if let Ok(adjusted) = adjust_p_values(Correction::Bh, &p_values, 0.05) {
            for (found, adjusted) in tests.iter_mut().zip(adjusted) {
                found.p_adjusted = adjusted.p_adjusted;
            }
        }
    }
}

fn heterogeneity(arm: &str, slices: &[SliceComparison]) -> Heterogeneity {
    let effects: Vec<(f64, f64)> = slices
        .iter()
        .flat_map(|slice| &slice.comparisons)
        .filter(|found| found.arm == arm)
        .filter_map(|found| spread(&found.comparison))
        .collect();
    let mut found = Heterogeneity {
        arm: arm.to_owned(),
        slices: u32::try_from(effects.len()).unwrap_or(u32::MAX),
        q: None,
        df: None,
        p_value: None,
        i_squared: None,
    };
    if found.slices < 2 {
        return found;
    }
    let total: f64 = effects.iter().map(|(_, variance)| 1.0 / variance).sum();
    let mean: f64 = effects.iter().map(|(effect, variance)| effect / variance / total).sum();
    let q: f64 = effects.iter().map(|(effect, variance)| (effect - mean) * (effect - mean) / variance).sum();
    let df = found.slices - 1;
    if q.is_finite() {
        found.q = Some(q);
        found.df = Some(df);
        found.p_value = Some(special::chi_square_sf(q, f64::from(df)));
        found.i_squared = Some(if q > 0.0 { (1.0 - f64::from(df) / q).max(0.0) } else { 0.0 });
    }
    found
}
