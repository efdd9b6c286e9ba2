//! The state of a rollout as the API tells it, in the few numbers that the demo shows. Reads JSON, asks nothing.

use liftgate_domain::Timestamp;
use serde_json::Value;

/// A guardrail's interval against its margin, and its evidence.
#[derive(Clone, Debug, PartialEq)]
pub struct Gauge {
    /// The metric.
    pub metric: String,
    /// `harm`, `safe`, `undecided` or `undetermined`.
    pub verdict: String,
    /// The accepted harm as written, such as `25%`.
    pub margin: String,
    /// Whether harm is a decrease.
    pub harm_is_decrease: bool,
    /// ln of the e-value against harmlessness.
    pub log_e: f64,
    /// Its part of alpha: harm is declared at an e-value of 1 / this.
    pub alpha: f64,
    /// Effect with its bounds, in the margin's terms; a fraction when the margin is relative.
    pub effect: Option<f64>,
    /// Lower bound.
    pub lower: Option<f64>,
    /// Upper bound.
    pub upper: Option<f64>,
    /// Units that count, both arms together.
    pub n_eff: f64,
}

/// A rollout.
#[derive(Clone, Debug, PartialEq)]
pub struct Lane {
    /// Its key.
    pub key: String,
    /// `running`, `completed`, `rolled_back` ...
    pub status: String,
    /// Index of its stage.
    pub stage: usize,
    /// How many stages its policy has.
    pub stages: usize,
    /// The share now.
    pub share: String,
    /// Units served the treatment in this attempt.
    pub treated: u64,
    /// The hold's code, if it holds.
    pub hold: Option<String>,
    /// One sentence: what it waits for.
    pub why: String,
    /// Its guardrails, as last seen.
    pub gauges: Vec<Gauge>,
    /// When the attempt started.
    pub started_at: Timestamp,
}

impl Lane {
    /// From a rollout's JSON; `None` when it is none.
    pub fn of_rollout(rollout: &Value) -> Option<Self> {
        let status = text(rollout, "status")?;
        let stage = usize::try_from(rollout["stage"].as_u64()?).ok()?;
        let hold = rollout.get("hold").filter(|hold| hold.is_object());
        Some(Self {
            key: text(rollout, "key")?,
            share: share(rollout)?,
            stage,
            stages: stages(rollout).len(),
            treated: rollout["treated_units"].as_u64().unwrap_or_default(),
            hold: hold.and_then(|hold| text(hold, "code")),
            why: hold.and_then(|hold| text(hold, "detail")).unwrap_or_default(),
            gauges: Vec::new(),
            started_at: rollout["started_at"].as_str()?.parse().ok()?,
            status,
        })
    }

    /// From the answer of `.../why`: the rollout with its guardrails and its sentence.
    pub fn of_why(answer: &Value) -> Option<Self> {
        let mut lane = Self::of_rollout(&answer["rollout"])?;
        let sentence = text(answer, "sentence").or_else(|| text(answer, "why"));
        lane.why = sentence.or_else(|| text(&answer["outcome"], "why")).unwrap_or(lane.why);
        let readings = answer["outcome"]["guardrails"].as_array().map(Vec::as_slice).unwrap_or_default();
        lane.gauges = readings.iter().filter_map(Gauge::of_reading).collect();
        Some(lane)
    }

    /// Whether it still moves.
    pub fn is_active(&self) -> bool {
        matches!(self.status.as_str(), "running" | "paused")
    }
}

impl Gauge {
    fn of_reading(reading: &Value) -> Option<Self> {
        let assessment = &reading["assessment"];
        let number = |name: &str| assessment[name].as_f64();
        Some(Self {
            metric: text(reading, "metric")?,
            verdict: text(assessment, "verdict")?,
            margin: text(reading, "margin").unwrap_or_default(),
            harm_is_decrease: reading["harm"] == "decrease",
            // JSON has no infinity: no evidence at all arrives as null.
            log_e: number("log_e_harm").unwrap_or(f64::NEG_INFINITY),
            alpha: reading["alpha_g"].as_f64()?,
            effect: number("effect"),
            lower: number("lower"),
            upper: number("upper"),
            n_eff: number("n_eff").unwrap_or_default(),
        })
    }
}

/// The share that a rollout's treatment has now, as text.
pub fn share(rollout: &Value) -> Option<String> {
    match rollout["status"].as_str()? {
        "rolled_back" => Some("0%".to_owned()),
        _ => {
            let stage = usize::try_from(rollout["stage"].as_u64()?).ok()?;
            match &stages(rollout).get(stage)?["share"] {
                Value::String(text) => Some(text.clone()),
                Value::Number(percent) => Some(format!("{percent}%")),
                _ => None,
            }
        }
    }
}

fn stages(rollout: &Value) -> &[Value] {
    rollout["policy_body"]["stages"].as_array().map(Vec::as_slice).unwrap_or_default()
}

/// A text field of an object.
pub fn text(value: &Value, name: &str) -> Option<String> {
    value.get(name).and_then(Value::as_str).map(str::to_owned)
}

#[cfg(test)]
pub mod tests {
    use serde_json::json;

    use super::*;

    /// A rollout as the API answers it.
    pub fn rollout(status: &str, stage: u64) -> Value {
        json!({
            "key": "new-search", "flag": "new-search", "status": status, "stage": stage, "treated_units": 1204,
            "policy_body": {"stages": [{"share": "1%"}, {"share": "5%"}, {"share": "100%"}]},
            "started_at": "2026-03-01T10:00:00Z",
        })
    }

    /// An answer of `why` with one guardrail.
    pub fn why() -> Value {
        json!({
            "rollout": rollout("running", 1), "share": "5%", "sentence": "Stage 2 of 3 bakes for another 3s.",
            "outcome": {"verdict": "stay", "gates": [], "guardrails": [{
                "metric": "error_rate", "act": "rollback", "harm": "increase", "margin": "25%", "alpha_g": 0.005,
                "assessment": {"verdict": "undecided", "reason": null, "log_e_harm": 3.43, "log_e_safe": null,
                    "n_eff": 2_000.0, "n_treatment": 1_000, "n_control": 1_000, "mean_treatment": 0.05,
                    "mean_control": 0.02, "effect": 1.5, "lower": 0.121, "upper": 3.124}
            }]},
            "why": "w"
        })
    }

    #[test]
    fn reads_where_a_rollout_stands() {
        let lane = Lane::of_why(&why()).unwrap();
        assert_eq!((lane.stage, lane.stages, lane.share.as_str(), lane.treated), (1, 3, "5%", 1_204));
        assert_eq!(lane.why, "Stage 2 of 3 bakes for another 3s.");
        assert_eq!((lane.gauges[0].lower, lane.gauges[0].alpha), (Some(0.121), 0.005));
        assert!(lane.is_active());
        let back = Lane::of_rollout(&rollout("rolled_back", 1)).unwrap();
        assert_eq!(back.share, "0%");
        assert!(!back.is_active());
        assert_eq!(Lane::of_rollout(&json!({"key": "x"})), None);
    }
}
