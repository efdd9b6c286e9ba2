//! Analyses as data: a request in, an answer out, the same for the command line, the server's readouts and notebooks.
//! Every method of the engine is reachable from here. No request panics; what cannot be used is named by its path.
//!
//! ```
//! use liftgate_stats::analysis::Request;
//!
//! let request = Request::from_json(r#"{"kind": "proportion", "arms": [
//!     {"arm": "off", "n": 10000, "events": 500}, {"arm": "on", "n": 10000, "events": 580}]}"#)?;
//! let answer = serde_json::to_value(request.analyze()?).unwrap();
//! assert_eq!(answer["comparisons"][0]["verdict"], "better");
//!
//! let error = Request::from_json(r#"{"arms": [{"arm": "off", "n": -5}]}"#).unwrap_err();
//! assert_eq!(error.field, "arms[0].n");
//! # Ok::<(), liftgate_stats::analysis::FieldError>(())
//! ```

mod arm;
mod experiment;
mod field_error;
mod guardrail;
mod metric;
mod multiplicity;
mod rates;
mod request;
mod slices;
mod srm;

pub use arm::{ArmInput, PairsInput, VariableInput};
pub use experiment::{
    ArmShare, ExperimentAnswer, ExperimentComparison, ExperimentData, ExperimentMetric, ExperimentMetricAnswer,
    ExperimentMetricInput, ExperimentRequest,
};
pub use field_error::FieldError;
pub use guardrail::{GuardrailPlanInput, GuardrailRequest, GuardrailStratum};
pub use metric::{
    ArmComparison, Arms, Kind, MetricAnswer, MetricData, MetricRequest, StratumInput, compare_arm, compare_arms,
};
pub use multiplicity::{EstimateInput, MultiplicityAnswer, MultiplicityRequest, TestAnswer, TestInput};
pub use rates::{RateArm, RateArmComparison, RatesAnswer, RatesRequest};
pub use request::{Answer, Named, Request, answer_schema, request_schema, typed};
pub use slices::{
    AgainstRest, Heterogeneity, SliceComparison, SliceInput, SlicesAnswer, SlicesRequest, analyze_slices,
};
pub use srm::{SrmAnswer, SrmGroupAnswer, SrmGroupInput, SrmRequest, SrmVerdict, test_shares};
