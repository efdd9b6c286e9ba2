//! A family of tests, corrected for how many they are.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::FieldError;
use crate::Estimate;
use crate::multiplicity::{Adjusted, Correction, MultiplicityError, adjust_e_values, adjust_p_values};

/// Tests of one family.
const TESTS_MAX: usize = 1_000_000;

/// A family, as it is written.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MultiplicityRequest {
    /// A label, repeated in the answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// How to correct.
    pub method: Correction,
    /// The family's error: of any false discovery, or the expected share of false ones.
    #[serde(default = "default_alpha")]
    pub alpha: f64,
    /// The tests.
    pub tests: Vec<TestInput>,
}

fn default_alpha() -> f64 {
    0.05
}

/// One test.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TestInput {
    /// Its name.
    pub name: String,
    /// Two-sided; leave it out for a test that could not be made, which still counts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub p_value: Option<f64>,
    /// For `e_bh`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub e_value: Option<f64>,
    /// For `e_bh`: ln of the e-value, where that is too large to write.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub log_e: Option<f64>,
    /// An estimate with its standard error, for the interval that agrees with the decision.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub estimate: Option<EstimateInput>,
}

/// An estimate.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EstimateInput {
    /// The number.
    pub value: f64,
    /// Its standard error.
    pub se: f64,
}

/// The family, corrected.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct MultiplicityAnswer {
    /// The correction.
    pub method: Correction,
    /// The family's error.
    pub alpha: f64,
    /// The tests, in the order given.
    pub tests: Vec<TestAnswer>,
}

/// One test, corrected.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct TestAnswer {
    /// Its name.
    pub name: String,
    /// Corrected p-value, whether it stands, and the level of its interval.
    #[serde(flatten)]
    pub adjusted: Adjusted,
    /// The interval that agrees with the decision (normal), when an estimate was given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interval: Option<Estimate>,
}

impl MultiplicityRequest {
    /// Corrects the family.
    ///
    /// # Errors
    /// The field that cannot be used.
    pub fn analyze(&self) -> Result<MultiplicityAnswer, FieldError> {
        if self.tests.len() > TESTS_MAX {
            return Err(FieldError::new("tests", format!("at most {TESTS_MAX} tests can be corrected together")));
        }
        let adjusted = if self.method == Correction::EBh {
            let mut values = Vec::with_capacity(self.tests.len());
            for (index, test) in self.tests.iter().enumerate() {
                values.push(test.log_e().map_err(|error| error.inside(&format!("tests[{index}]")))?);
            }
            adjust_e_values(&values, self.alpha)
        } else {
            if let Some(index) = self.tests.iter().position(|test| test.e_value.is_some() || test.log_e.is_some()) {
                return Err(FieldError::new(
                    format!("tests[{index}].e_value"),
                    "is only read by `e_bh`; give `p_value`",
                ));
            }
            let values: Vec<Option<f64>> = self.tests.iter().map(|test| test.p_value).collect();
            adjust_p_values(self.method, &values, self.alpha)
        };
        let adjusted = adjusted.map_err(|error| match error {
            MultiplicityError::Alpha(_) => FieldError::new("alpha", error.to_string()),
            MultiplicityError::PValue { test, .. } => {
                FieldError::new(format!("tests[{test}].p_value"), error.to_string())
            }
            MultiplicityError::EValue { test } => FieldError::new(format!("tests[{test}].e_value"), error.to_string()),
            MultiplicityError::WrongEvidence => FieldError::new("method", error.to_string()),
        })?;
        let tests = self.tests.iter().zip(adjusted).map(|(test, adjusted)| TestAnswer {
            name: test.name.clone(),
            interval: test.estimate.and_then(|estimate| adjusted.normal_interval(estimate.value, estimate.se)),
            adjusted,
        });
        Ok(MultiplicityAnswer { method: self.method, alpha: self.alpha, tests: tests.collect() })
    }
}

impl TestInput {
    fn log_e(&self) -> Result<Option<f64>, FieldError> {
        match (self.e_value, self.log_e, self.p_value) {
            (_, _, Some(_)) => Err(FieldError::new("p_value", "`e_bh` works on e-values; give `e_value` or `log_e`")),
            (Some(_), Some(_), _) => Err(FieldError::new("log_e", "`e_value` is given too; leave one out")),
            (Some(e), None, _) if e.is_nan() || e < 0.0 => {
                Err(FieldError::new("e_value", format!("`{e}` is no e-value: those are 0 or more")))
            }
            (Some(e), None, _) => Ok(Some(libm::log(e))),
            (None, log_e, _) => Ok(log_e),
        }
    }
}
