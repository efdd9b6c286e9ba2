//! Bodies that real clients sent, broken in every way a few random changes can break them: the laws of
//! `liftgate_ingest::fuzz` hold for each. `PROPTEST_CASES=100000` makes it a longer search.

use liftgate_ingest::fuzz;
use proptest::prelude::*;
use serde_json::Value;

const DOCUMENTS: [&str; 5] = [
    r#"{"sent_at":1767225601000,"events":[
        {"type":"metric","id":"e1","timestamp":1767225600000,"unit":{"id":"u1"},"event":"purchase","value":9.5,"properties":{"plan":"pro","n":[1,{"x":null}]}},
        {"type":"exposure","id":"e2","timestamp":"2026-01-01T00:00:00Z","units":{"user":"u1","account":"a9"},"flag":"checkout","variation":"on","attributes":{"country":"DE"}},
        {"type":"metric","id":"e3","timestamp":1767225600000,"sent_at":5,"unit":{"type":"account","id":"\u00e9\ud83e\udd80"},"event":"open"}]}"#,
    r#"[{"type":"metric","id":"e1","timestamp":-1,"unit":{"id":"u1"},"event":"purchase","value":-1e300},5,{"type":"click"}]"#,
    include_str!("segment_bodies/analytics_node_3_1.json"),
    include_str!("segment_bodies/analytics_python_2_4.json"),
    include_str!("segment_bodies/rudder_node_3_0.json"),
];

const LINES: &str = "{\"type\":\"metric\",\"id\":\"e1\",\"timestamp\":0,\"unit\":{\"id\":\"u1\"},\"event\":\"a\"}\n\n{\"type\":\"metric\",\"id\":\"e2\",\"timestamp\":0,\"sent_at\":7,\"units\":{\"user\":\"u\"},\"event\":\"b\"}\r\n";

const CORPUS: [&str; 6] = [DOCUMENTS[0], DOCUMENTS[1], DOCUMENTS[2], DOCUMENTS[3], DOCUMENTS[4], LINES];

/// What changes are made of: tokens that mean something to a JSON reader or to these formats, and poison.
const FRAGMENTS: [&[u8]; 36] = [
    b"{",
    b"}",
    b"[",
    b"]",
    b",",
    b":",
    b"\"",
    b"\\",
    b"\n",
    b" ",
    b"\0",
    b"\\u0000",
    b"\\ud800",
    b"\xff",
    b"null",
    b"true",
    b"0",
    b"-",
    b"1e999",
    b"NaN",
    b"Infinity",
    b"99999999999999999999",
    b"\"\"",
    b"{}",
    b"[]",
    b"[[[[[[[[",
    b"\"events\":",
    b"\"batch\":",
    b"\"sent_at\":null,",
    b"\"sentAt\":1,",
    b"\"id\":\"x\",",
    b"\"type\":\"track\",",
    b"\"messageId\":null,",
    b"\"userId\":7,",
    b"\"units\":{\"a\":\"b\"},",
    b"\"context\":{\"groupId\":\"g\"},",
];

/// Values that some field may not have, as JSON text.
const POISON: [&str; 26] = [
    "null",
    "true",
    "0",
    "-1",
    "7.5",
    "1e999",
    "99999999999999999999",
    "{}",
    "[]",
    "[[[[1]]]]",
    r#""""#,
    r#""x""#,
    r#""\ud800""#,
    r#""a\u0000b""#,
    r#""é🦀""#,
    r#""2036-01-01T00:00:00Z""#,
    r#""NaN""#,
    r#""19.99""#,
    r#"["user","u1"]"#,
    r#"{"id":"x","id":"y"}"#,
    r#"{"user":"u","user":"v"}"#,
    r#"{"account":"a","user":"u"}"#,
    r#"{"groupId":[]}"#,
    r#"{"type":"track"}"#,
    "LONG",
    "DEEP",
];

#[derive(Clone, Debug)]
enum Edit {
    Insert(&'static [u8]),
    Replace(u8),
    Delete(usize),
    Repeat { bytes: usize, times: usize },
}

fn edit() -> impl Strategy<Value = Edit> {
    prop_oneof![
        4 => prop::sample::select(&FRAGMENTS[..]).prop_map(Edit::Insert),
        2 => any::<u8>().prop_map(Edit::Replace),
        3 => (1..40_usize).prop_map(Edit::Delete),
        1 => (1..60_usize, 1..200_usize).prop_map(|(bytes, times)| Edit::Repeat { bytes, times }),
    ]
}

fn edited(seed: &str, edits: &[(prop::sample::Index, Edit)]) -> Vec<u8> {
    let mut body = seed.as_bytes().to_vec();
    for (place, edit) in edits {
        let at = place.index(body.len() + 1);
        match edit {
            Edit::Insert(fragment) => drop(body.splice(at..at, fragment.iter().copied())),
            Edit::Replace(byte) => body.iter_mut().skip(at).take(1).for_each(|old| *old = *byte),
            Edit::Delete(bytes) => drop(body.drain(at..(at + bytes).min(body.len()))),
            Edit::Repeat { bytes, times } => {
                let end = (at + bytes).min(body.len());
                let again = body[at..end].repeat(*times);
                body.splice(at..at, again);
            }
        }
    }
    body
}

/// The document with some of its values replaced: still JSON, so that each event is looked at.
fn poisoned(seed: &str, changes: &[(prop::sample::Index, &str)]) -> String {
    let mut document: Value = serde_json::from_str(seed).unwrap();
    for (number, (place, _)) in changes.iter().enumerate() {
        let mut left = place.index(count(&document));
        *nth(&mut document, &mut left).unwrap() = Value::from(format!("@{number}@"));
    }
    let mut text = document.to_string();
    for (number, (_, poison)) in changes.iter().enumerate() {
        let poison = match *poison {
            "LONG" => format!(r#""{}""#, "é".repeat(65 << (number * 2))),
            "DEEP" => format!("{}1{}", "[".repeat(200), "]".repeat(200)),
            other => other.to_owned(),
        };
        text = text.replace(&format!(r#""@{number}@""#), &poison);
    }
    text
}

fn count(value: &Value) -> usize {
    1 + match value {
        Value::Array(items) => items.iter().map(count).sum(),
        Value::Object(fields) => fields.values().map(count).sum(),
        _ => 0,
    }
}

fn nth<'a>(value: &'a mut Value, left: &mut usize) -> Option<&'a mut Value> {
    if *left == 0 {
        return Some(value);
    }
    *left -= 1;
    match value {
        Value::Array(items) => items.iter_mut().find_map(|item| nth(item, left)),
        Value::Object(fields) => fields.values_mut().find_map(|field| nth(field, left)),
        _ => None,
    }
}

#[test]
fn what_clients_send_obeys_the_laws() {
    for seed in CORPUS {
        fuzz::native(seed.as_bytes());
        fuzz::segment(seed.as_bytes());
    }
}

proptest! {
    #[test]
    fn what_was_broken_on_the_way_obeys_the_laws(
        seed in prop::sample::select(&CORPUS[..]),
        edits in prop::collection::vec((any::<prop::sample::Index>(), edit()), 1..6),
    ) {
        let body = edited(seed, &edits);
        fuzz::native(&body);
        fuzz::segment(&body);
    }

    #[test]
    fn a_value_that_a_field_may_not_have_obeys_the_laws(
        seed in prop::sample::select(&DOCUMENTS[..]),
        changes in prop::collection::vec((any::<prop::sample::Index>(), prop::sample::select(&POISON[..])), 1..4),
    ) {
        let body = poisoned(seed, &changes);
        fuzz::native(body.as_bytes());
        fuzz::segment(body.as_bytes());
    }
}
