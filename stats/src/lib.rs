//! From moments to estimates and verdicts.
//!
//! A pure leaf: no clock, no chance, no input or output. Everything starts from [`Moments`], a few mergeable numbers
//! an arm, and no function here panics on any of them: what cannot be judged says so and why.
//!
//! | question | door |
//! |---|---|
//! | May the ramp go on? Asked at every look. | [`assess`] with a [`GuardrailPlan`] |
//! | Did the treatment move the metric? Asked once, at the end. | [`compare`] |
//! | Are the arms as large as promised? | [`srm_chi_square`] |
//! | The methods themselves | [`mod@welch`], [`fieller`], [`proportion`], [`exact`], [`special`] |
//!
//! ```
//! use liftgate_stats::{Direction, GuardrailPlan, Margin, Moments, Outcome, Stratum, Verdict, assess};
//!
//! // Errors may not rise by more than 10 %; the ramp has two stages.
//! let plan = GuardrailPlan {
//!     outcome: Outcome::Binary,
//!     harm: Direction::Increase,
//!     margin: Margin::Relative(0.1),
//!     detect: Some(Margin::Relative(0.5)),
//!     alpha: 0.05,
//!     alpha_safe: 0.05,
//!     stages: 2,
//! };
//! let stratum = |stage, treatment_events, control_events| Stratum {
//!     stage,
//!     treatment: Moments::from_counts(1_000, treatment_events),
//!     control: Moments::from_counts(1_000, control_events),
//! };
//! assert_eq!(assess(&plan, &[stratum(0, 21, 20)]).verdict, Verdict::Undecided);
//! let harmed = assess(&plan, &[stratum(0, 21, 20), stratum(1, 75, 20)]);
//! assert_eq!(harmed.verdict, Verdict::Harm);
//! assert!(harmed.lower > Some(0.1));
//! ```

pub mod analysis;
pub mod anytime;
pub mod bayes;
pub mod cuped;
pub mod decision;
pub mod exact;
pub mod guardrail;
pub mod lift;
pub mod multiplicity;
pub mod post_stratification;
pub mod power;
pub mod proportion;
pub mod quantile;
pub mod rate;
pub mod ratio;
pub mod special;
pub mod welch;

mod comparison;
mod effect;
mod interval;
mod joint_moments;
mod margin;
mod moments;
mod root;
mod srm;

pub use comparison::{
    ArmSample, BayesianAnswer, Comparison, ComparisonVerdict, Covariates, MarginTest, Method, Model, Plan, PlanMethod,
    PosteriorScale, Prior, ProportionTest, Sample, TUNED_AT_DEFAULT, Warning, compare, compare_by,
};
pub use cuped::Cuped;
pub use effect::Effect;
pub use guardrail::{Assessment, GuardrailPlan, PlanError, Stratum, Undetermined, Verdict, assess};
pub use interval::Estimate;
pub use joint_moments::JointMoments;
pub use lift::LiftMethod;
pub use margin::{Direction, Margin, Outcome};
pub use moments::Moments;
pub use power::{PowerAnswer, PowerError, PowerRequest, power};
pub use quantile::QuantileReading;
pub use srm::{
    SRM_ALARM_P, SRM_CONCENTRATIONS, SequentialSrm, Srm, SrmError, SrmFactor, SrmGroup, SrmGroupFinding, SrmMethod,
    srm_by_group, srm_chi_square, srm_sequential,
};
