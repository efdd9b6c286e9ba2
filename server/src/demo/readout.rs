//! The experiment's readout as the API tells it: arms, lifts and intervals. Reads JSON, computes nothing.

use serde_json::Value;

use super::{line, reading::text};

/// A treatment's lift over the control in one metric.
#[derive(Clone, Debug, PartialEq)]
pub struct Lift {
    /// The metric.
    pub metric: String,
    /// `success` or `secondary`.
    pub role: String,
    /// The arm compared with the control.
    pub arm: String,
    /// Means of control and treatment.
    pub means: (f64, f64),
    /// The lift as a fraction, with its interval; absent when the baseline is not distinguishable from zero.
    pub relative: Option<(f64, f64, f64)>,
    /// Two-sided.
    pub p_value: Option<f64>,
    /// `better`, `worse`, `inconclusive` or `undetermined`.
    pub verdict: String,
}

/// A readout.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Readout {
    /// Units by arm.
    pub arms: Vec<(String, u64)>,
    /// The p-value of the sample ratio check.
    pub srm_p: Option<f64>,
    /// The comparisons.
    pub lifts: Vec<Lift>,
    /// What to do with each treatment: its arm and the verdict with its reasons.
    pub decisions: Vec<(String, String)>,
}

impl Readout {
    /// From the answer of `.../results`.
    pub fn read(answer: &Value) -> Result<Self, String> {
        let list = |value: &Value, name: &str| {
            let found = value[name].as_array().cloned();
            found.ok_or_else(|| format!("the readout has no list `{name}`"))
        };
        let arms = list(answer, "arms")?;
        let arms = arms.iter().filter_map(|arm| Some((text(arm, "arm")?, arm["units"].as_u64()?))).collect();
        let mut lifts = Vec::new();
        for metric in list(answer, "metrics")? {
            for comparison in list(&metric, "comparisons")? {
                lifts.extend(Lift::read(&metric, &comparison));
            }
        }
        let decisions = answer["decisions"].as_array().into_iter().flatten().filter_map(|decision| {
            let reasons = decision["reasons"].as_array().into_iter().flatten().filter_map(Value::as_str);
            let reasons = reasons.collect::<Vec<_>>().join(" ");
            Some((text(decision, "arm")?, format!("{}. {reasons}", text(decision, "verdict")?)))
        });
        Ok(Self { arms, srm_p: answer["srm"]["p_value"].as_f64(), lifts, decisions: decisions.collect() })
    }

    /// The comparison of a metric.
    pub fn lift(&self, metric: &str) -> Option<&Lift> {
        self.lifts.iter().find(|lift| lift.metric == metric)
    }

    /// The readout in lines.
    pub fn show(&self) -> Vec<String> {
        let arms: Vec<String> = self.arms.iter().map(|(arm, units)| format!("{arm} {}", line::count(*units))).collect();
        let srm = self.srm_p.map_or_else(|| "not tested".to_owned(), |p| format!("p {p:.3}"));
        let mut lines = vec![format!("shoppers: {}; sample ratio {srm}", arms.join(", "))];
        lines.extend(self.lifts.iter().map(Lift::show));
        lines.extend(self.decisions.iter().map(|(arm, decision)| format!("decision for {arm}: {decision}")));
        lines
    }
}

impl Lift {
    fn read(metric: &Value, comparison: &Value) -> Option<Self> {
        let numbers = &comparison["comparison"];
        let estimate = &numbers["relative"];
        let part = |name: &str| estimate[name].as_f64();
        Some(Self {
            metric: text(metric, "metric")?,
            role: text(metric, "role").unwrap_or_default(),
            arm: text(comparison, "arm")?,
            means: (numbers["control"]["mean"].as_f64()?, numbers["treatment"]["mean"].as_f64()?),
            relative: part("value").zip(part("lower")).zip(part("upper")).map(|((v, l), u)| (v, l, u)),
            p_value: numbers["p_value"].as_f64(),
            verdict: text(numbers, "verdict")?,
        })
    }

    fn show(&self) -> String {
        let interval = match self.relative {
            Some((value, lower, upper)) => {
                format!("lift {} [{}, {}]", line::lift(value), line::lift(lower), line::lift(upper))
            }
            None => "no lift: the baseline is not distinguishable from zero".to_owned(),
        };
        let p = self
            .p_value
            .map_or_else(|| "?".to_owned(), |p| if p < 0.001 { format!("{p:.1e}") } else { format!("{p:.3}") });
        format!(
            "{:<11} {} ({}): {:.4} -> {:.4}, {interval}, p {p}, {}",
            self.metric, self.arm, self.role, self.means.0, self.means.1, self.verdict
        )
    }
}

#[cfg(test)]
pub mod tests {
    use serde_json::json;

    use super::*;

    /// A readout as the API answers it, with a lift of `value` in conversion.
    pub fn answer(value: f64) -> Value {
        json!({
            "experiment": "banner-test", "run": 4, "watermark": null,
            "arms": [{"arm": "off", "units": 90_012}, {"arm": "on", "units": 89_988}],
            "srm": {"p_value": 0.954}, "warnings": [],
            "decisions": [{"arm": "on", "verdict": "ship", "reasons": ["It improved."]}],
            "metrics": [{"metric": "conversion", "role": "success", "direction": "increase", "arms": [],
                "comparisons": [{"arm": "on", "comparison": {
                    "method": "score", "absolute": null, "p_value": 1.2e-9, "verdict": "better", "warnings": [],
                    "relative": {"value": value, "lower": value - 0.02, "upper": value + 0.02, "se": 0.01},
                    "control": {"n": 90_012, "mean": 0.114, "m2": 1.0}, "treatment": {"n": 89_988, "mean": 0.1254, "m2": 1.0}
                }}]}]
        })
    }

    #[test]
    fn shows_arms_lifts_and_intervals() {
        let readout = Readout::read(&answer(0.1)).unwrap();
        assert_eq!(
            readout.show(),
            [
                "shoppers: off 90 012, on 89 988; sample ratio p 0.954",
                "conversion  on (success): 0.1140 -> 0.1254, lift +10.0% [+8.0%, +12.0%], p 1.2e-9, better",
                "decision for on: ship. It improved.",
            ]
        );
        assert!(Readout::read(&json!({"arms": []})).unwrap_err().contains("metrics"));
    }
}
