//! A decision record in one line: what was decided, at which share, and the number that decided it.

use liftgate_domain::Timestamp;
use serde_json::Value;

use super::{
    line,
    reading::{share, text},
};

/// A decision as the summary shows it.
#[derive(Clone, Debug, PartialEq)]
pub struct DecisionLine {
    /// Its place in the chain.
    pub seq: u64,
    /// When it was decided.
    pub at: Timestamp,
    /// `start`, `advance`, `hold`, `rollback`, `complete` ...
    pub verdict: String,
    /// The share afterwards.
    pub share: String,
    /// The metric that took the treatment back.
    pub harmed: Option<String>,
    /// Whether the scheduler decided it by evidence, rather than a person by a command.
    pub by_evidence: bool,
    /// The decisive number or sentence.
    pub because: String,
}

/// Reads a decision with its record; `None` when it is none.
pub fn read(decision: &Value) -> Option<DecisionLine> {
    let record: Value = match &decision["body"] {
        Value::String(text) => serde_json::from_str(text).ok()?,
        record => record.clone(),
    };
    let verdict = text(decision, "verdict")?;
    let outcome = record.get("outcome").filter(|outcome| outcome.is_object());
    let harmed = outcome.and_then(|outcome| outcome["verdict"]["roll_back"]["metric"].as_str()).map(str::to_owned);
    let because = match outcome {
        Some(outcome) => because(outcome, harmed.as_deref(), &record),
        None => text(&record, "reason").unwrap_or_else(|| format!("by {}", actor(&record["actor"]))),
    };
    Some(DecisionLine {
        seq: decision["seq"].as_u64()?,
        at: decision["at"].as_str()?.parse().ok()?,
        share: share(&record["after"]).unwrap_or_else(|| "?".to_owned()),
        verdict,
        harmed,
        by_evidence: outcome.is_some(),
        because,
    })
}

/// One line of the summary, timed from `start`.
pub fn show(line: &DecisionLine, start: Timestamp) -> String {
    let since_ms = line.at.micros_since(start) / 1_000;
    format!("{:>4}  {:>8}  {:<9} {:>5}  {}", line.seq, line::seconds(since_ms), line.verdict, line.share, line.because)
}

fn because(outcome: &Value, harmed: Option<&str>, record: &Value) -> String {
    let readings = outcome["guardrails"].as_array().map(Vec::as_slice).unwrap_or_default();
    let e_of = |reading: &Value| float(&reading["log_e_harm"]).unwrap_or(f64::NEG_INFINITY);
    if let Some(metric) = harmed {
        let Some(reading) = readings.iter().find(|reading| reading["metric"] == metric) else {
            return format!("{metric} is harmed");
        };
        let margin = margin(record, metric);
        let bound = |name: &str| line::effect(float(&reading[name]), &margin);
        return format!(
            "{metric} e {} >= {:.0}: {} [{}, {}] against a margin of {margin}, {} treated",
            line::e_value(e_of(reading)),
            1.0 / float(&reading["alpha_g"]).unwrap_or(f64::NAN),
            bound("effect"),
            bound("lower"),
            bound("upper"),
            line::count(record["after"]["treated_units"].as_u64().unwrap_or_default()),
        );
    }
    if let (Some(code), Some(detail)) = (text(&outcome["hold"], "code"), text(&outcome["hold"], "detail")) {
        return format!("{code}: {detail}");
    }
    let worst = readings.iter().max_by(|a, b| e_of(a).total_cmp(&e_of(b)));
    match (worst, outcome["verdict"].get("advance")) {
        (Some(reading), Some(_)) => format!(
            "strongest sign of harm: {} e {} of {:.0}, with {:.0} units",
            reading["metric"].as_str().unwrap_or("?"),
            line::e_value(e_of(reading)),
            1.0 / float(&reading["alpha_g"]).unwrap_or(f64::NAN),
            float(&reading["n_eff"]).unwrap_or_default(),
        ),
        _ => text(outcome, "why").unwrap_or_default(),
    }
}

/// The margin as the frozen policy writes it.
fn margin(record: &Value, metric: &str) -> String {
    let metrics = record["after"]["policy_body"]["guardrails"]["metrics"].as_array();
    let found = metrics.and_then(|metrics| metrics.iter().find(|guardrail| guardrail["metric"] == metric));
    found.and_then(|guardrail| text(guardrail, "margin")).unwrap_or_default()
}

/// Records hold floats as the hex of their bits.
fn float(value: &Value) -> Option<f64> {
    match value {
        Value::String(hex) => u64::from_str_radix(hex, 16).ok().map(f64::from_bits),
        value => value.as_f64(),
    }
}

fn actor(actor: &Value) -> String {
    let kind = actor["type"].as_str().unwrap_or("somebody");
    actor["name"].as_str().map_or_else(|| kind.to_owned(), |name| format!("{kind} {name}"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn hex(value: f64) -> String {
        format!("{:016x}", value.to_bits())
    }

    fn decision(verdict: &str, outcome: Value, status: &str) -> Value {
        let record = json!({
            "actor": {"type": "scheduler"}, "reason": null, "outcome": outcome,
            "after": {
                "status": status, "stage": 1, "treated_units": 1_893,
                "policy_body": {
                    "stages": [{"share": "1%"}, {"share": "5%"}],
                    "guardrails": {"metrics": [{"metric": "error_rate", "margin": "25%"}]}
                }
            }
        });
        json!({"seq": 3, "at": "2026-03-01T10:00:12.5Z", "verdict": verdict, "body": record.to_string()})
    }

    fn reading() -> Value {
        json!({"metric": "error_rate", "alpha_g": hex(0.005), "log_e_harm": hex(6.0), "n_eff": hex(1_900.0),
            "effect": hex(1.5), "lower": hex(0.41), "upper": hex(2.9)})
    }

    #[test]
    fn every_verdict_shows_what_decided_it() {
        let start: Timestamp = "2026-03-01T10:00:00Z".parse().unwrap();
        let back = json!({"verdict": {"roll_back": {"metric": "error_rate"}}, "hold": null, "guardrails": [reading()]});
        let on = json!({"verdict": {"advance": {"to": 1}}, "hold": null, "guardrails": [reading()]});
        let hold = json!({"verdict": {"hold": {}}, "hold": {"code": "LOW_SAMPLE", "detail": "20 of 200 units"}});
        let done = json!({"verdict": "complete", "hold": null, "guardrails": [], "why": "it has baked its 8s"});
        for (verdict, outcome, status, expected) in [
            (
                "rollback",
                back,
                "rolled_back",
                "   3    12.5 s  rollback     0%  error_rate e 403 >= 200: +150.0% [+41.0%, +290.0%] against a margin of 25%, 1 893 treated",
            ),
            (
                "advance",
                on,
                "running",
                "   3    12.5 s  advance      5%  strongest sign of harm: error_rate e 403 of 200, with 1900 units",
            ),
            ("hold", hold, "running", "   3    12.5 s  hold         5%  LOW_SAMPLE: 20 of 200 units"),
            ("complete", done, "completed", "   3    12.5 s  complete     5%  it has baked its 8s"),
            ("start", Value::Null, "running", "   3    12.5 s  start        5%  by scheduler"),
        ] {
            assert_eq!(show(&read(&decision(verdict, outcome, status)).unwrap(), start), expected);
        }
    }

    #[test]
    fn the_harmed_metric_is_known() {
        let back = json!({"verdict": {"roll_back": {"metric": "error_rate"}}, "guardrails": [reading()]});
        assert_eq!(read(&decision("rollback", back, "rolled_back")).unwrap().harmed.as_deref(), Some("error_rate"));
        assert_eq!(read(&json!({"seq": 1})), None);
    }
}
