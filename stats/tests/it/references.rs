//! Requests as users write them against what other engines answer live, written by `notebooks/reference_fixtures`.

use std::collections::BTreeMap;

use liftgate_stats::analysis::Request;
use serde::Deserialize;
use serde_json::Value;

#[derive(Deserialize)]
struct File {
    versions: BTreeMap<String, String>,
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    method: String,
    oracle: String,
    request: Value,
    /// By JSON pointer into the answer.
    expect: BTreeMap<String, Value>,
    tolerance: f64,
    note: String,
}

/// Largest relative difference of one method against one oracle.
#[derive(Default)]
struct Line {
    cases: usize,
    numbers: usize,
    /// Among numbers whose tolerance is the strict one.
    strict: f64,
    /// Among those where a known difference of method is allowed for.
    loose: f64,
}

/// At most this far off where the method is the same.
const STRICT: f64 = 1e-9;

/// How far apart two values are: relative for numbers (absolute below 1e-12), 0 or infinite for all else.
fn distance(found: Option<&Value>, expected: &Value) -> f64 {
    match (found, expected) {
        (None | Some(Value::Null), Value::Null) => 0.0,
        (Some(found), expected) => match (found.as_f64(), expected.as_f64()) {
            (Some(a), Some(b)) if a == b => 0.0,
            (Some(a), Some(b)) => (a - b).abs() / b.abs().max(1e-12),
            _ if found == expected => 0.0,
            _ => f64::INFINITY,
        },
        (None, _) => f64::INFINITY,
    }
}

#[test]
fn requests_are_answered_as_the_reference_engines_answer_them() {
    let file: File =
        serde_json::from_str(include_str!("../fixtures/references.json")).expect("the fixture is well formed");
    assert!(file.cases.len() > 400, "{} cases", file.cases.len());
    let mut lines: BTreeMap<(String, String), Line> = BTreeMap::new();
    let mut wrong = Vec::new();
    for case in &file.cases {
        let name = case.request["name"].as_str().unwrap_or_default();
        let answer = Request::from_value(case.request.clone()).and_then(|request| request.analyze());
        let answer = match answer {
            Ok(answer) => serde_json::to_value(answer).expect("answers have a JSON form"),
            Err(error) => {
                wrong.push(format!("{} `{name}`: {error}", case.method));
                continue;
            }
        };
        let line = lines.entry((case.method.clone(), case.oracle.clone())).or_default();
        line.cases += 1;
        for (pointer, expected) in &case.expect {
            let off = distance(answer.pointer(pointer), expected);
            line.numbers += 1;
            let worst = if case.tolerance <= STRICT { &mut line.strict } else { &mut line.loose };
            *worst = worst.max(off);
            if off.is_nan() || off > case.tolerance {
                let found = answer.pointer(pointer).unwrap_or(&Value::Null);
                wrong.push(format!(
                    "{} against {}, `{name}` {pointer}: found {found}, expected {expected} (off by {off:e}) {}",
                    case.method, case.oracle, case.note
                ));
            }
        }
    }
    println!("references: {:?}", file.versions);
    println!("{:<24} {:<20} {:>5} {:>7} {:>9} {:>9}", "method", "oracle", "cases", "numbers", "largest", "(loose)");
    for ((method, oracle), line) in &lines {
        let Line { cases, numbers, strict, loose } = line;
        println!("{method:<24} {oracle:<20} {cases:>5} {numbers:>7} {strict:>9.1e} {loose:>9.1e}");
    }
    assert!(wrong.is_empty(), "{} of the numbers are off:\n{}", wrong.len(), wrong.join("\n"));
}
