//! Signatures against the official Python library, pinned in `webhooks/tests/requirements.txt`.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use liftgate_domain::entropy::SeededEntropy;
use liftgate_domain::{Clock as _, Event, SystemClock};
use liftgate_webhooks::format::standard;
use liftgate_webhooks::signature::{Secret, sign, verify};
use serde_json::{Value, json};

use crate::world::{START, production};

fn python() -> PathBuf {
    let python = std::env::var_os("LIFTGATE_PYTHON").map_or_else(
        || PathBuf::from(std::env::var_os("HOME").unwrap_or_default()).join(".cache/liftgate/venv/bin/python"),
        PathBuf::from,
    );
    assert!(
        python.exists(),
        "no Python at {}: run `make test-deps`, or set LIFTGATE_PYTHON to one that has webhooks/tests/requirements.txt",
        python.display()
    );
    python
}

/// The library's answers, in the order of the cases.
fn official(cases: &[Value]) -> Vec<Value> {
    let mut child = Command::new(python())
        .args(["-c", include_str!("official.py")])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let lines: String = cases.iter().map(|case| format!("{case}\n")).collect();
    let mut stdin = child.stdin.take().unwrap();
    // From a thread: the library answers while it is still being asked, and a full pipe would stop both.
    let writer = std::thread::spawn(move || stdin.write_all(lines.as_bytes()));
    let output = child.wait_with_output().unwrap();
    let written = writer.join().unwrap();
    assert!(
        output.status.success() && written.is_ok(),
        "the official library could not be run; run `make test-deps`: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn the_official_library_verifies_what_is_signed_here_and_signs_the_same() {
    let now_s = SystemClock.now().as_micros() / 1_000_000;
    let subjects = ["checkout", "дom", "結帳", "😀 emoji", "דגל", "<!channel> & \"quotes\"", "a\u{202E}b\0c"];
    let mut cases = Vec::new();
    for n in 0..70_u64 {
        let subject = subjects[n as usize % subjects.len()];
        let text = Secret::generate(&SeededEntropy::new(n));
        let event = Event {
            id: format!("evt_{n}"),
            change_seq: n,
            kind: "flag.updated".to_owned(),
            scope: production(),
            subject: subject.to_owned(),
            at: START,
            data: json!({"name": subject.repeat(n as usize), "n": n}),
        };
        let (id, body) = (format!("msg_{n}"), String::from_utf8(standard(&event)).unwrap());
        let rotated = [Secret::generate(&SeededEntropy::new(1_000 + n)), text.clone()];
        let secrets = rotated.map(|text| Secret::parse(&text).unwrap());
        let signature = sign(&secrets, &id, now_s, body.as_bytes());
        cases.push(json!({"secret": text, "id": id, "timestamp_s": now_s, "signature": signature, "body": body}));
    }
    for (case, answer) in cases.iter().zip(official(&cases)) {
        assert_eq!(answer["verified"], true, "{case}");
        let ours = case["signature"].as_str().unwrap().split(' ').nth(1);
        assert_eq!(answer["signature"].as_str(), ours, "{case}");
    }
}

#[test]
fn both_refuse_the_same() {
    let now_s = SystemClock.now().as_micros() / 1_000_000;
    let text = Secret::generate(&SeededEntropy::new(1));
    let secrets = [Secret::parse(&text).unwrap()];
    let signed = |at_s: i64| sign(&secrets, "msg_1", at_s, b"{}");
    let foreign = sign(&[Secret::parse(&Secret::generate(&SeededEntropy::new(2))).unwrap()], "msg_1", now_s, b"{}");
    // Far enough from the edges for the seconds between here and there.
    let rows = [
        (now_s, signed(now_s), "{}", true),
        (now_s - 240, signed(now_s - 240), "{}", true),
        (now_s - 400, signed(now_s - 400), "{}", false),
        (now_s + 400, signed(now_s + 400), "{}", false),
        (now_s, signed(now_s - 1), "{}", false),
        (now_s, signed(now_s), "{ }", false),
        (now_s, foreign, "{}", false),
    ];
    let case = |(at_s, signature, body, _): &(i64, String, &str, bool)| json!({"secret": text, "id": "msg_1", "timestamp_s": at_s, "signature": signature, "body": body});
    let answers = official(&rows.iter().map(case).collect::<Vec<_>>());
    assert_eq!(answers.len(), rows.len());
    for ((at_s, signature, body, expected), answer) in rows.iter().zip(answers) {
        let ours = verify(&secrets, "msg_1", *at_s, now_s, signature, body.as_bytes()).is_ok();
        assert_eq!((ours, answer["verified"].as_bool()), (*expected, Some(*expected)), "{at_s} {body}");
    }
}
