//! Numbers and rollouts as text for people: the same in the live view, in plain lines and in the summary.

use super::reading::{Gauge, Lane};

/// e-values above this are written as powers of ten.
const E_PLAIN_MAX: f64 = 10_000.0;

/// A count with its thousands apart: `1 204`.
pub fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(' ');
        }
        text.push(digit);
    }
    text
}

/// An e-value from its logarithm: `0.03`, `31.2`, `2.4e7`.
pub fn e_value(log_e: f64) -> String {
    let e = log_e.exp();
    match e {
        _ if e.is_nan() => "?".to_owned(),
        _ if log_e > E_PLAIN_MAX.ln() => {
            let power = (log_e / std::f64::consts::LN_10).floor();
            format!("{:.1}e{power}", (log_e - power * std::f64::consts::LN_10).exp())
        }
        _ if e >= 100.0 => format!("{e:.0}"),
        _ if e >= 10.0 => format!("{e:.1}"),
        _ => format!("{e:.2}"),
    }
}

/// An effect in the terms of its margin: `+12.1%` beside a margin of `25%`, `-3.4ms` beside `25ms`.
pub fn effect(value: Option<f64>, margin: &str) -> String {
    let unit = margin.trim_start_matches(|c: char| c.is_ascii_digit() || c == '.');
    match value {
        None => "?".to_owned(),
        Some(value) if unit == "%" => format!("{:+.1}%", value * 100.0),
        Some(value) => format!("{value:+.1}{unit}"),
    }
}

/// A fraction as signed percent: `+9.8%`.
pub fn lift(value: f64) -> String {
    format!("{:+.1}%", value * 100.0)
}

/// A guardrail: `error_rate [+12.1%, +312.4%] margin +25%, e 30.9 of 200, undecided`.
pub fn gauge(gauge: &Gauge) -> String {
    let sign = if gauge.harm_is_decrease { '-' } else { '+' };
    format!(
        "{} [{}, {}] margin {sign}{}, e {} of {:.0}, {}",
        gauge.metric,
        effect(gauge.lower, &gauge.margin),
        effect(gauge.upper, &gauge.margin),
        gauge.margin,
        e_value(gauge.log_e),
        1.0 / gauge.alpha,
        gauge.verdict,
    )
}

/// Where a rollout stands, without its guardrails: `new-search    stage 2/5   5%  running  1 204 treated`.
pub fn standing(lane: &Lane) -> String {
    let status = match &lane.hold {
        Some(code) if lane.is_active() => format!("holds ({code})"),
        _ => lane.status.replace('_', " "),
    };
    format!(
        "{:<13} stage {}/{}  {:>5}  {:<12} {:>8} treated",
        lane.key,
        lane.stage + 1,
        lane.stages,
        lane.share,
        status,
        count(lane.treated)
    )
}

/// A rollout in one line, for output that is no terminal.
pub fn rollout(lane: &Lane) -> String {
    let mut parts = vec![standing(lane)];
    parts.extend(lane.gauges.iter().map(gauge));
    if lane.is_active() && !lane.why.is_empty() {
        parts.push(lane.why.clone());
    }
    parts.join(" | ")
}

/// Milliseconds as seconds: `12.3 s`.
pub fn seconds(ms: i64) -> String {
    format!("{:.1} s", ms as f64 / 1_000.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::demo::reading::tests::{rollout as rollout_json, why};

    #[test]
    fn numbers_read_well() {
        for (number, text) in [(0, "0"), (999, "999"), (1_204, "1 204"), (1_234_567, "1 234 567")] {
            assert_eq!(count(number), text);
        }
        for (log_e, text) in [
            (f64::NEG_INFINITY, "0.00"),
            (0.0, "1.00"),
            (3.43, "30.9"),
            (6.0, "403"),
            (17.0, "2.4e7"),
            (2_000.0, "3.9e868"),
            (f64::NAN, "?"),
        ] {
            assert_eq!(e_value(log_e), text, "{log_e}");
        }
        assert_eq!(effect(Some(0.121), "25%"), "+12.1%");
        assert_eq!(effect(Some(-3.42), "25ms"), "-3.4ms");
        assert_eq!(effect(Some(2.0), "0.5"), "+2.0");
        assert_eq!(effect(None, "25%"), "?");
    }

    #[test]
    fn a_rollout_is_one_line() {
        assert_eq!(
            rollout(&Lane::of_why(&why()).unwrap()),
            "new-search    stage 2/3     5%  running         1 204 treated | error_rate [+12.1%, +312.4%] margin +25%, \
             e 30.9 of 200, undecided | Stage 2 of 3 bakes for another 3s."
        );
        let mut held = rollout_json("running", 0);
        held["hold"] = serde_json::json!({"code": "LOW_SAMPLE", "detail": "20 of 200 units."});
        assert_eq!(
            rollout(&Lane::of_rollout(&held).unwrap()),
            "new-search    stage 1/3     1%  holds (LOW_SAMPLE)    1 204 treated | 20 of 200 units."
        );
        assert_eq!(
            rollout(&Lane::of_rollout(&rollout_json("rolled_back", 1)).unwrap()),
            "new-search    stage 2/3     0%  rolled back     1 204 treated"
        );
    }
}
