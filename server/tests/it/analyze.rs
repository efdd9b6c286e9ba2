//! `liftgate analyze` and `liftgate power` as they are used in a shell: one document or many lines, bad ones among good ones,
//! and schemas that are what the documentation has.

use std::{
    io::Write,
    path::PathBuf,
    process::{Output, Stdio},
};

use serde_json::{Value, json};

use crate::harness::liftgate;

fn ask(args: &[&str], input: &str) -> Output {
    let mut child =
        liftgate().args(args).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    child.wait_with_output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

const GOOD: &str = r#"{"name": "checkout", "kind": "proportion", "arms": [{"arm": "off", "n": 10000, "events": 500}, {"arm": "on", "n": 10000, "events": 580}]}"#;

#[test]
fn one_document_is_answered_as_json_and_as_a_table() {
    let pretty = serde_json::to_string_pretty(&serde_json::from_str::<Value>(GOOD).unwrap()).unwrap();
    for input in [GOOD, &pretty] {
        let output = ask(&["analyze", "-", "--output", "json"], input);
        assert!(output.status.success(), "{}", text(&output.stderr));
        let answer: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!((&answer["name"], &answer["analysis"]), (&json!("checkout"), &json!("metric")));
        assert_eq!(answer["comparisons"][0]["verdict"], json!("better"));
    }
    let output = ask(&["analyze", "-"], GOOD);
    let shown = text(&output.stdout);
    assert!(shown.contains("+16.00 %") && shown.contains("better") && shown.contains("score"), "{shown}");
    // A p-value below the smallest double is not shown as 0.
    let far = r#"{"arms": [{"arm": "a", "n": 1000000, "mean": 5, "variance": 1}, {"arm": "b", "n": 1000000, "mean": 6, "variance": 1}]}"#;
    let shown = text(&ask(&["analyze", "-"], far).stdout);
    assert!(shown.contains("<1e-300"), "{shown}");
    let output = ask(&["analyze", "-", "--output", "csv"], GOOD);
    assert_eq!(text(&output.stdout).lines().count(), 2);
}

#[test]
fn many_lines_are_answered_in_order_and_bad_ones_in_their_place() {
    let lines = [GOOD, "{broken", r#"{"arms": [{"arm": "a", "n": -1}]}"#, "", GOOD].join("\n");
    let output = ask(&["analyze", "-", "--output", "json"], &lines);
    assert_eq!(output.status.code(), Some(1));
    let answers: Vec<Value> = text(&output.stdout).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(answers.len(), 4, "{answers:?}");
    assert_eq!(answers[0], answers[3]);
    assert_eq!(answers[1]["error"]["request"], json!(2));
    assert_eq!((&answers[2]["error"]["request"], &answers[2]["error"]["field"]), (&json!(3), &json!("arms[0].n")));
    assert!(text(&output.stderr).contains("request 3: `arms[0].n`"), "{}", text(&output.stderr));
    // A list is many requests as well.
    let output = ask(&["analyze", "-", "--output", "json"], &format!("[{GOOD}, {GOOD}]"));
    assert_eq!(text(&output.stdout).lines().count(), 2);
}

#[test]
fn files_that_are_not_there_or_empty_say_so() {
    let output = ask(&["analyze", "/nonexistent/file.json"], "");
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("/nonexistent/file.json"), "{}", text(&output.stderr));
    let output = ask(&["analyze", "-"], "\n\n");
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("no request"), "{}", text(&output.stderr));
    assert_eq!(ask(&["analyze"], "").status.code(), Some(2));
}

#[test]
fn power_plans_and_names_the_field_that_is_wrong() {
    let request = r#"{"name": "plan", "kind": "proportion", "baseline": {"mean": 0.05}, "effect": {"relative": 0.2}, "sides": "one"}"#;
    let output = ask(&["power", "-", "--output", "json"], request);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let answer: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(answer["needed"]["treatment"]["expected"], json!(6424), "{answer:#}");
    assert!(text(&ask(&["power", "-"], request).stdout).contains("6424"));
    let output =
        ask(&["power", "-"], r#"{"kind": "proportion", "baseline": {"mean": 1.5}, "effect": {"relative": 0.2}}"#);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("`baseline.mean`"), "{}", text(&output.stderr));
    let output = ask(&["power", "-"], r#"{"kind": "proportion", "baseline": {"mean": "x"}}"#);
    assert!(text(&output.stderr).contains("`baseline.mean`"), "{}", text(&output.stderr));
}

/// `UPDATE_SCHEMAS=1` writes them again.
#[test]
fn published_schemas_are_what_the_program_prints() {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../docs/schemas");
    for command in ["analyze", "power"] {
        for of in ["request", "answer"] {
            let output = ask(&[command, "--schema", of], "");
            assert!(output.status.success(), "{}", text(&output.stderr));
            let path = folder.join(format!("{command}-{of}.json"));
            if std::env::var_os("UPDATE_SCHEMAS").is_some() {
                std::fs::write(&path, &output.stdout).unwrap();
            }
            let published = std::fs::read_to_string(&path).unwrap_or_default();
            assert_eq!(text(&output.stdout), published, "{}: run this test with UPDATE_SCHEMAS=1", path.display());
        }
    }
}
