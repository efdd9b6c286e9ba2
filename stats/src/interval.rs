//! A number with the range the data leave open for it. What the range means (fixed-horizon or
//! anytime-valid, at which alpha) is said by whoever made it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// An estimate and its two-sided interval, `lower <= value <= upper` up to rounding.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Estimate {
    /// The point estimate.
    pub value: f64,
    /// Lower end of the interval.
    pub lower: f64,
    /// Upper end of the interval.
    pub upper: f64,
    /// Standard error, for the methods whose interval is made from one.
    pub se: Option<f64>,
}

impl Estimate {
    /// Whether the interval leaves `value` open.
    pub fn contains(&self, value: f64) -> bool {
        self.lower <= value && value <= self.upper
    }
}
