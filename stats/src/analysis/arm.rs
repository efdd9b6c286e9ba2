//! One arm as people have it, means and variances or sums and sums of squares, turned into joint moments.
//!
//! Sums of squares lose digits when the mean is large beside the spread; what was lost cannot be had back, so such
//! input is taken and said to be doubtful.

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, de};

use super::FieldError;
use crate::{ArmSample, JointMoments, Model, QuantileReading, Warning};

/// Squares left after subtraction below this share of what they were made from have lost their digits.
const CANCELLED_SHARE: f64 = 1e-9;
/// Negative squares down to this share are rounding.
const ROUNDING_SHARE: f64 = 1e-12;
/// Relative slack for |covariance| <= product of standard deviations.
const CORRELATION_SLACK: f64 = 1e-9;
/// Units are counted exactly up to here.
const UNITS_MAX: f64 = 9_007_199_254_740_992.0;
/// Variables of an arm.
const VARIABLES_MAX: usize = 16;

/// An arm's units and the moments of what they did.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ArmInput {
    /// The arm's name.
    pub arm: String,
    /// Units.
    #[serde(deserialize_with = "units", skip_serializing_if = "Option::is_none")]
    pub n: Option<u64>,
    /// Mean of the value; of a ratio the numerator; of a quantile the events up to it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mean: Option<f64>,
    /// Sample variance of the value (divided by n - 1).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub variance: Option<f64>,
    /// Sum of the value, instead of the mean.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sum: Option<f64>,
    /// Sum of its squares, instead of the variance.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sum_squares: Option<f64>,
    /// Of a proportion: units with the event, instead of mean and variance.
    #[serde(deserialize_with = "units", skip_serializing_if = "Option::is_none")]
    pub events: Option<u64>,
    /// Of a ratio: what it divides by. Of a quantile: the unit's number of events.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub denominator: Option<VariableInput>,
    /// What the unit did before its first exposure.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub covariate: Option<VariableInput>,
    /// Of a ratio: the covariate's denominator.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub covariate_denominator: Option<VariableInput>,
    /// Sample covariances (divided by n - 1) of the variables above.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub covariance: Option<PairsInput>,
    /// Sums of products, instead of covariances.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sum_products: Option<PairsInput>,
    /// All of it at once, as the warehouse has it: value, denominator (ratio, quantile), covariates; `co` is the lower triangle
    /// of sums of products of deviations, row by row. Several covariates need this form.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub joint: Option<JointMoments>,
    /// Of a quantile: its value, with its neighbours.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub quantile: Option<QuantileReading>,
}

/// A variable beside the value.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct VariableInput {
    /// Mean.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mean: Option<f64>,
    /// Sample variance (divided by n - 1).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub variance: Option<f64>,
    /// Sum, instead of the mean.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sum: Option<f64>,
    /// Sum of squares, instead of the variance.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sum_squares: Option<f64>,
}

/// A number for each pair of variables.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct PairsInput {
    /// Value and denominator.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value_denominator: Option<f64>,
    /// Value and covariate.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value_covariate: Option<f64>,
    /// Value and the covariate's denominator.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value_covariate_denominator: Option<f64>,
    /// Denominator and covariate.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub denominator_covariate: Option<f64>,
    /// Denominator and the covariate's denominator.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub denominator_covariate_denominator: Option<f64>,
    /// Covariate and its denominator.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub covariate_covariate_denominator: Option<f64>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Variable {
    Value,
    Denominator,
    Covariate,
    CovariateDenominator,
}

impl PairsInput {
    fn get(&self, a: Variable, b: Variable) -> (Option<f64>, &'static str) {
        use Variable::{Covariate as X, CovariateDenominator as W, Denominator as D, Value as Y};
        match (a, b) {
            (Y, D) | (D, Y) => (self.value_denominator, "value_denominator"),
            (Y, X) | (X, Y) => (self.value_covariate, "value_covariate"),
            (Y, W) | (W, Y) => (self.value_covariate_denominator, "value_covariate_denominator"),
            (D, X) | (X, D) => (self.denominator_covariate, "denominator_covariate"),
            (D, W) | (W, D) => (self.denominator_covariate_denominator, "denominator_covariate_denominator"),
            _ => (self.covariate_covariate_denominator, "covariate_covariate_denominator"),
        }
    }
}

/// What an arm became.
pub(super) struct ReadArm {
    pub(super) name: String,
    pub(super) sample: ArmSample,
    pub(super) warning: Option<Warning>,
}

impl ArmInput {
    /// The arm's moments for a model.
    pub(super) fn read(&self, model: Model) -> Result<ReadArm, FieldError> {
        if self.arm.is_empty() {
            return Err(FieldError::new("arm", "name the arm, such as `control`"));
        }
        if self.quantile.is_none() && model == Model::Quantile {
            return Err(FieldError::new(
                "quantile",
                "a quantile needs its value, its neighbours and their probabilities",
            ));
        }
        let mut reader = Reader { warning: None };
        let joint = match &self.joint {
            Some(joint) => self.read_joint(joint, model)?,
            None => self.read_variables(model, &mut reader)?,
        };
        let sample = ArmSample { joint, quantile: self.quantile.filter(|_| model == Model::Quantile) };
        Ok(ReadArm { name: self.arm.clone(), sample, warning: reader.warning })
    }

    fn read_joint(&self, joint: &JointMoments, model: Model) -> Result<JointMoments, FieldError> {
        let least = if matches!(model, Model::Ratio | Model::Quantile) { 2 } else { 1 };
        let count = joint.variables();
        if !(least..=VARIABLES_MAX).contains(&count) {
            let message = format!("has {count} variables; this kind needs {least} to {VARIABLES_MAX}");
            return Err(FieldError::new("joint.mean", message));
        }
        if model == Model::Ratio && count != 2 && count != 4 {
            return Err(FieldError::new(
                "joint.mean",
                "a ratio has 2 variables, or 4 with the covariate's numerator and denominator",
            ));
        }
        let needed = count * (count + 1) / 2;
        if joint.co.len() != needed {
            let message = format!("has {} numbers; {count} variables need {needed}", joint.co.len());
            return Err(FieldError::new("joint.co", message));
        }
        if self.n.is_some_and(|n| n != joint.n) {
            return Err(FieldError::new("n", "is not the same as `joint.n`; leave one out"));
        }
        let extra = [
            ("mean", self.mean.is_some()),
            ("variance", self.variance.is_some()),
            ("sum", self.sum.is_some()),
            ("sum_squares", self.sum_squares.is_some()),
            ("events", self.events.is_some()),
            ("denominator", self.denominator.is_some()),
            ("covariate", self.covariate.is_some()),
        ];
        match extra.iter().find(|(_, is_given)| *is_given) {
            Some((field, _)) => Err(FieldError::new(*field, "is given by `joint` too; leave one out")),
            None => Ok(joint.clone()),
        }
    }

    fn read_variables(&self, model: Model, reader: &mut Reader) -> Result<JointMoments, FieldError> {
        let n = self.n.ok_or_else(|| FieldError::new("n", "give the number of units"))?;
        let value =
            VariableInput { mean: self.mean, variance: self.variance, sum: self.sum, sum_squares: self.sum_squares };
        let mut variables = vec![(Variable::Value, self.read_value(n, &value, model, reader)?)];
        let has_denominator = matches!(model, Model::Ratio | Model::Quantile);
        let others = [
            (Variable::Denominator, "denominator", &self.denominator, has_denominator),
            (Variable::Covariate, "covariate", &self.covariate, model != Model::Quantile),
            (
                Variable::CovariateDenominator,
                "covariate_denominator",
                &self.covariate_denominator,
                model == Model::Ratio,
            ),
        ];
        for (variable, name, input, is_allowed) in others {
            match input {
                Some(_) if !is_allowed => return Err(FieldError::new(name, "is not read for this kind of metric")),
                Some(input) => {
                    variables.push((variable, reader.variable(n, input).map_err(|error| error.inside(name))?));
                }
                None if variable == Variable::Denominator && has_denominator => {
                    return Err(FieldError::new(name, "this kind of metric needs one"));
                }
                None => {}
            }
        }
        if model == Model::Ratio && self.covariate.is_some() != self.covariate_denominator.is_some() {
            return Err(FieldError::new(
                "covariate_denominator",
                "a ratio's covariate is a ratio too: give both or neither",
            ));
        }
        self.read_pairs(n, &variables, reader)
    }

    fn read_value(
        &self,
        n: u64,
        value: &VariableInput,
        model: Model,
        reader: &mut Reader,
    ) -> Result<(f64, f64), FieldError> {
        if let Some(events) = self.events {
            if model != Model::Proportion {
                return Err(FieldError::new("events", "is only read for a proportion; give `mean` and `variance`"));
            }
            if events > n {
                return Err(FieldError::new("events", format!("{events} of {n} units cannot have had the event")));
            }
            let moments = crate::Moments::from_counts(n, events);
            return Ok((moments.mean, moments.m2));
        }
        if model == Model::Proportion && value.variance.is_none() && value.sum_squares.is_none() {
            // Of 0/1 data the mean says it all.
            let mean = value.mean.or(value.sum.map(|sum| if n == 0 { 0.0 } else { sum / n as f64 }));
            let mean = mean.ok_or_else(|| FieldError::new("events", "give the units with the event, or `mean`"))?;
            if !(0.0..=1.0).contains(&mean) {
                return Err(FieldError::new(
                    "mean",
                    format!("`{mean}` is no share: a proportion lies between 0 and 1"),
                ));
            }
            return Ok((mean, n as f64 * mean * (1.0 - mean)));
        }
        reader.variable(n, value)
    }

    fn read_pairs(
        &self,
        n: u64,
        variables: &[(Variable, (f64, f64))],
        reader: &mut Reader,
    ) -> Result<JointMoments, FieldError> {
        let mut joint = JointMoments::new(0);
        joint.n = n;
        for (i, (variable, (mean, squares))) in variables.iter().enumerate() {
            joint.mean.push(*mean);
            for (other, (other_mean, other_squares)) in &variables[..i] {
                let product = self.product(n, (*variable, *mean), (*other, *other_mean), reader)?;
                let limit = libm::sqrt(squares * other_squares);
                if product.abs() > limit * (1.0 + CORRELATION_SLACK) + f64::MIN_POSITIVE {
                    let field = PairsInput::default().get(*variable, *other).1;
                    let parent = if self.covariance.is_some() { "covariance" } else { "sum_products" };
                    return Err(FieldError::new(
                        format!("{parent}.{field}"),
                        "is larger than the two variances allow (a correlation beyond 1)",
                    ));
                }
                joint.co.push(product);
            }
            joint.co.push(*squares);
        }
        Ok(joint)
    }

    fn product(&self, n: u64, a: (Variable, f64), b: (Variable, f64), reader: &mut Reader) -> Result<f64, FieldError> {
        match (&self.covariance, &self.sum_products) {
            (Some(_), Some(_)) => Err(FieldError::new("sum_products", "`covariance` is given too; leave one out")),
            (Some(pairs), None) => {
                let (value, field) = pairs.get(a.0, b.0);
                let value = value.ok_or_else(|| FieldError::new(format!("covariance.{field}"), "is missing"))?;
                Ok(value * n.saturating_sub(1) as f64)
            }
            (None, Some(pairs)) => {
                let (value, field) = pairs.get(a.0, b.0);
                let value = value.ok_or_else(|| FieldError::new(format!("sum_products.{field}"), "is missing"))?;
                let centred = libm::fma(-(n as f64) * a.1, b.1, value);
                reader.notice_cancelled(centred.abs(), value.abs());
                Ok(centred)
            }
            (None, None) => {
                let field = PairsInput::default().get(a.0, b.0).1;
                Err(FieldError::new(format!("covariance.{field}"), "is missing (or give `sum_products`)"))
            }
        }
    }
}

/// Turns either form into mean and sum of squared deviations, and remembers doubtful input.
struct Reader {
    warning: Option<Warning>,
}

impl Reader {
    fn variable(&mut self, n: u64, input: &VariableInput) -> Result<(f64, f64), FieldError> {
        let units = n as f64;
        let mean = match (input.mean, input.sum) {
            (Some(_), Some(_)) => return Err(FieldError::new("sum", "`mean` is given too; leave one out")),
            (Some(mean), None) => mean,
            (None, Some(sum)) => {
                if n == 0 {
                    0.0
                } else {
                    sum / units
                }
            }
            (None, None) => return Err(FieldError::new("mean", "is missing (or give `sum` and `sum_squares`)")),
        };
        let squares = match (input.variance, input.sum_squares) {
            (Some(_), Some(_)) => return Err(FieldError::new("sum_squares", "`variance` is given too; leave one out")),
            (Some(variance), None) if variance < 0.0 => {
                return Err(FieldError::new("variance", format!("`{variance}` is below 0")));
            }
            (Some(variance), None) => variance * n.saturating_sub(1) as f64,
            (None, Some(squares)) => self.centred(n, mean, squares)?,
            (None, None) => return Err(FieldError::new("variance", "is missing (or give `sum_squares`)")),
        };
        Ok((mean, squares))
    }

    fn centred(&mut self, n: u64, mean: f64, squares: f64) -> Result<f64, FieldError> {
        let centred = libm::fma(-(n as f64) * mean, mean, squares);
        if centred < -ROUNDING_SHARE * squares.abs() {
            return Err(FieldError::new("sum_squares", "is smaller than the square of the sum divided by n"));
        }
        self.notice_cancelled(centred, squares);
        Ok(centred.max(0.0))
    }

    fn notice_cancelled(&mut self, left: f64, from: f64) {
        // Nothing at all left is how constant values look.
        if left < CANCELLED_SHARE * from && left != 0.0 {
            self.warning = Some(Warning::CancelledSquares);
        }
    }
}

/// A count: a whole number, also when it is written as `3407.0`.
fn units<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u64>, D::Error> {
    let number = f64_or_u64(deserializer)?;
    Ok(Some(number))
}

pub(super) fn f64_or_u64<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    struct Visitor;
    impl de::Visitor<'_> for Visitor {
        type Value = u64;

        fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("a whole number of 0 or more")
        }

        fn visit_u64<E: de::Error>(self, value: u64) -> Result<u64, E> {
            Ok(value)
        }

        fn visit_i64<E: de::Error>(self, value: i64) -> Result<u64, E> {
            u64::try_from(value).map_err(|_| E::invalid_value(de::Unexpected::Signed(value), &self))
        }

        fn visit_f64<E: de::Error>(self, value: f64) -> Result<u64, E> {
            if (0.0..=UNITS_MAX).contains(&value) && libm::trunc(value) == value {
                Ok(value as u64)
            } else {
                Err(E::invalid_value(de::Unexpected::Float(value), &self))
            }
        }
    }
    deserializer.deserialize_any(Visitor)
}
