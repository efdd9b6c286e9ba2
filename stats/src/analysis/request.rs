//! The one door: which analysis a request asks for, read from JSON with the path of what is wrong.

use schemars::JsonSchema;
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;

use super::{
    ExperimentAnswer, ExperimentRequest, FieldError, GuardrailRequest, MetricAnswer, MetricRequest, MultiplicityAnswer,
    MultiplicityRequest, RatesAnswer, RatesRequest, SlicesAnswer, SlicesRequest, SrmAnswer, SrmRequest,
};
use crate::Assessment;

/// The field that names the analysis.
const TAG: &str = "analysis";
/// The analyses, as they are named.
const NAMES: &str = "`metric`, `experiment`, `slices`, `guardrail`, `srm`, `rates` or `multiplicity`";

/// A request, by the analysis that it asks for.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
#[serde(tag = "analysis", rename_all = "snake_case")]
pub enum Request {
    /// One metric of several arms.
    Metric(MetricRequest),
    /// Several metrics and a decision.
    Experiment(ExperimentRequest),
    /// One metric by slice.
    Slices(SlicesRequest),
    /// A guardrail of a ramp.
    Guardrail(GuardrailRequest),
    /// The arms' shares of units.
    Srm(SrmRequest),
    /// Rates of events over exposure.
    Rates(RatesRequest),
    /// A family of tests.
    Multiplicity(MultiplicityRequest),
}

/// An answer with the request's label.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct Named {
    /// The request's label.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The answer.
    #[serde(flatten)]
    pub answer: Answer,
}

/// An answer, by its analysis.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
#[serde(tag = "analysis", rename_all = "snake_case")]
pub enum Answer {
    /// One metric of several arms.
    Metric(MetricAnswer),
    /// Several metrics and a decision.
    Experiment(ExperimentAnswer),
    /// One metric by slice.
    Slices(SlicesAnswer),
    /// A guardrail of a ramp.
    Guardrail(Assessment),
    /// The arms' shares of units.
    Srm(SrmAnswer),
    /// Rates of events over exposure.
    Rates(RatesAnswer),
    /// A family of tests.
    Multiplicity(MultiplicityAnswer),
}

impl Request {
    /// Reads a request from JSON text.
    ///
    /// # Errors
    /// The field that cannot be read; `.` when the text is no JSON object.
    pub fn from_json(text: &str) -> Result<Self, FieldError> {
        let value: Value =
            serde_json::from_str(text).map_err(|error| FieldError::new(".", format!("is not JSON: {error}")))?;
        Self::from_value(value)
    }

    /// Reads a request from a JSON value.
    ///
    /// # Errors
    /// The field that cannot be read.
    pub fn from_value(mut value: Value) -> Result<Self, FieldError> {
        let Some(fields) = value.as_object_mut() else {
            return Err(FieldError::new(".", "a request is a JSON object, such as {\"arms\": [...]}"));
        };
        let name = match fields.remove(TAG) {
            None => "metric".to_owned(),
            Some(Value::String(name)) => name,
            Some(_) => return Err(FieldError::new(TAG, format!("must be {NAMES}"))),
        };
        Ok(match name.as_str() {
            "metric" => Self::Metric(typed(value)?),
            "experiment" => Self::Experiment(typed(value)?),
            "slices" => Self::Slices(typed(value)?),
            "guardrail" => Self::Guardrail(typed(value)?),
            "srm" => Self::Srm(typed(value)?),
            "rates" => Self::Rates(typed(value)?),
            "multiplicity" => Self::Multiplicity(typed(value)?),
            _ => return Err(FieldError::new(TAG, format!("`{name}` is no analysis; write {NAMES}"))),
        })
    }

    /// Does what is asked.
    ///
    /// # Errors
    /// The field that cannot be used.
    pub fn analyze(&self) -> Result<Named, FieldError> {
        let (name, answer) = match self {
            Self::Metric(request) => (&request.name, Answer::Metric(request.analyze()?)),
            Self::Experiment(request) => (&request.name, Answer::Experiment(request.analyze()?)),
            Self::Slices(request) => (&request.name, Answer::Slices(request.analyze()?)),
            Self::Guardrail(request) => (&request.name, Answer::Guardrail(request.analyze()?)),
            Self::Srm(request) => (&request.name, Answer::Srm(request.analyze()?)),
            Self::Rates(request) => (&request.name, Answer::Rates(request.analyze()?)),
            Self::Multiplicity(request) => (&request.name, Answer::Multiplicity(request.analyze()?)),
        };
        Ok(Named { name: name.clone(), answer })
    }
}

/// A typed request, with the path of what does not fit.
///
/// # Errors
/// The field that cannot be read.
pub fn typed<T: DeserializeOwned>(value: Value) -> Result<T, FieldError> {
    serde_path_to_error::deserialize(value).map_err(|error| {
        let path = error.path().to_string();
        FieldError::new(path, error.into_inner().to_string())
    })
}

/// The JSON Schema of requests.
pub fn request_schema() -> Value {
    schemars::schema_for!(Request).to_value()
}

/// The JSON Schema of answers.
pub fn answer_schema() -> Value {
    schemars::schema_for!(Named).to_value()
}
