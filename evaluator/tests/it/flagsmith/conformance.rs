//! Every published case of both forms. The data is not part of the project: `LIFTGATE_CASES` says where it is.

use std::path::PathBuf;

use liftgate_evaluator::flagsmith::{
    DocumentIdentity, EnvironmentDocument, EvaluationResult, Reasons, evaluate_document, evaluate_json,
};
use serde_json::Value;

/// The folder of one set of cases, when it is there.
pub(super) fn cases(folder: &str) -> Option<PathBuf> {
    let beside = || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../shared/cases");
    let path = std::env::var_os("LIFTGATE_CASES").map_or_else(beside, PathBuf::from).join(folder);
    if path.is_dir() {
        return Some(path);
    }
    eprintln!("SKIPPED: no cases in {}; set LIFTGATE_CASES to the folder that has `{folder}`", path.display());
    None
}

/// JSON without its `//` comments and without commas before a closing bracket.
fn plain_json(text: &str) -> String {
    let mut plain = String::new();
    let (mut is_text, mut is_escaped, mut is_comment) = (false, false, false);
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        match character {
            '\n' => is_comment = false,
            _ if is_comment => continue,
            '/' if !is_text && characters.peek() == Some(&'/') => {
                is_comment = true;
                continue;
            }
            '"' if !is_escaped => is_text = !is_text,
            '}' | ']' if !is_text => {
                let end = plain.trim_end().strip_suffix(',').map(str::len);
                plain.truncate(end.unwrap_or(plain.len()));
            }
            _ => {}
        }
        is_escaped = is_text && character == '\\' && !is_escaped;
        plain.push(character);
    }
    plain
}

#[test]
fn every_case_of_the_engine_passes() {
    let Some(folder) = cases("flagsmith-engine") else { return };
    let mut paths: Vec<PathBuf> =
        std::fs::read_dir(folder.join("test_cases")).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    assert!(!paths.is_empty(), "the folder has no cases");
    let mut failures = Vec::new();
    for path in &paths {
        let name = path.file_name().unwrap().to_string_lossy();
        let case: Value = serde_json::from_str(&plain_json(&std::fs::read_to_string(path).unwrap())).unwrap();
        let context = case["context"].to_string();
        match evaluate_json(&context, Reasons::V10) {
            Ok(result) => {
                let result = serde_json::to_value(&result).unwrap();
                if result != case["result"] {
                    failures.push(format!("{name}\n   expected {}\n   but got  {result}", case["result"]));
                }
            }
            Err(error) => failures.push(format!("{name}: {error}")),
        }
    }
    println!("flagsmith-engine: {} of {} cases passed", paths.len() - failures.len(), paths.len());
    assert!(failures.is_empty(), "{} failed:\n{}", failures.len(), failures.join("\n"));
}

/// What a response of the older form says about each flag: name, value, on or off; in the order of names.
fn answers(result: &EvaluationResult) -> Vec<(String, Value, bool)> {
    let mut flags: Vec<_> =
        result.flags.values().map(|flag| (flag.name.clone(), flag.value.clone(), flag.enabled)).collect();
    flags.sort_by(|left, right| left.0.cmp(&right.0));
    flags
}

#[test]
fn every_identity_of_the_environment_document_gets_its_response() {
    let Some(folder) = cases("flagsmith-engine-v1") else { return };
    let text = std::fs::read_to_string(folder.join("environment.json")).unwrap();
    let case: Value = serde_json::from_str(&text).unwrap();
    let document: EnvironmentDocument = serde_json::from_value(case["environment"].clone()).unwrap();
    let identities = case["identities_and_responses"].as_array().unwrap();
    assert!(!identities.is_empty(), "the document has no identities");
    let mut failures = Vec::new();
    for case in identities {
        let identity: DocumentIdentity = serde_json::from_value(case["identity"].clone()).unwrap();
        let expected: Vec<(String, Value, bool)> = case["response"]["flags"]
            .as_array()
            .unwrap()
            .iter()
            .map(|flag| {
                let name = flag["feature"]["name"].as_str().unwrap().to_owned();
                (name, flag["feature_state_value"].clone(), flag["enabled"].as_bool().unwrap())
            })
            .collect();
        let got = answers(&evaluate_document(&document, Some(&identity), Reasons::V11));
        if got != expected {
            failures.push(format!("{}\n   expected {expected:?}\n   but got  {got:?}", identity.identifier));
        }
    }
    println!("flagsmith-engine-v1: {} of {} identities passed", identities.len() - failures.len(), identities.len());
    assert!(failures.is_empty(), "{} failed:\n{}", failures.len(), failures.join("\n"));
}
