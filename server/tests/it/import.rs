//! `liftgate import-events` as operators use it: any form of file, run again after an interruption, bad lines named.

use std::{
    io::Write,
    path::{Path, PathBuf},
    process::Output,
    sync::Arc,
};

use arrow::{
    array::{ArrayRef, Float64Array, RecordBatch, StringArray, StructArray, TimestampMicrosecondArray},
    datatypes::{DataType, Field},
};
use serde_json::{Value, json};

use crate::{
    crash::until_stored,
    harness::{Server, TOKEN, liftgate, shop},
};

fn now() -> liftgate_domain::Timestamp {
    liftgate_domain::Clock::now(&liftgate_domain::SystemClock)
}

fn line(id: &str) -> String {
    json!({"type": "metric", "id": id, "timestamp": now().0 / 1_000, "unit": {"id": "u1"}, "event": "purchase"})
        .to_string()
}

fn lines(from: usize, to: usize) -> String {
    (from..to).map(|index| line(&format!("e{index}")) + "\n").collect()
}

fn file(dir: &Path, name: &str, bytes: &[u8]) -> PathBuf {
    let path = dir.join(name);
    std::fs::write(&path, bytes).unwrap();
    path
}

/// Runs the import off the runtime's threads, which the server's answers do not need.
async fn import(server: &Server, args: &[&str]) -> (Output, Value) {
    let mut command = liftgate();
    command.args(["import-events", "--url", &server.url(""), "--output", "json"]).args(args);
    let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    let sums = serde_json::from_slice::<Value>(&output.stdout).unwrap_or(Value::Null)["total"].clone();
    (output, sums)
}

fn sums(sent: u64, accepted: u64, duplicates: u64, rejected: u64) -> Value {
    json!({"sent": sent, "accepted": accepted, "duplicates": duplicates, "rejected": rejected, "quarantined": 0})
}

#[tokio::test(flavor = "multi_thread")]
async fn any_form_is_imported_and_the_same_again_counts_once() {
    let server = Server::start().await;
    let key = shop(&server).await;
    let dir = tempfile::tempdir().unwrap();
    let plain = file(dir.path(), "a.ndjson", lines(0, 300).as_bytes());
    let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    packer.write_all(lines(300, 600).as_bytes()).unwrap();
    let gzip = file(dir.path(), "b.jsonl.gz", &packer.finish().unwrap());
    let zstd = file(dir.path(), "c.json.zst", &zstd::encode_all(lines(600, 900).as_bytes(), 3).unwrap());
    let columns = parquet(dir.path(), 900, 1_200);
    let files = [&plain, &gzip, &zstd, &columns].map(|path| path.to_str().unwrap());
    let (output, total) = import(&server, &[&files[..], &["--key", &key]].concat()).await;
    assert!(output.status.success(), "{output:?}");
    assert_eq!(total, sums(1_200, 1_200, 0, 0));
    let place = ["--token", TOKEN, "-p", "shop", "-e", "production"];
    let (output, total) = import(&server, &[&files[..], &place].concat()).await;
    assert!(output.status.success(), "{output:?}");
    assert_eq!(total, sums(1_200, 0, 1_200, 0));
    assert_eq!(until_stored(&server, 1_200).await, json!({"exposures": 0, "metrics": 1_200, "surplus": 0}));
}

/// Rows with a nested unit, a time without a zone, and properties as JSON text.
fn parquet(dir: &Path, from: usize, to: usize) -> PathBuf {
    let text = |value: &dyn Fn(usize) -> String| -> ArrayRef {
        Arc::new((from..to).map(|index| Some(value(index))).collect::<StringArray>())
    };
    let unit =
        StructArray::from(vec![(Arc::new(Field::new("id", DataType::Utf8, true)), text(&|index| format!("u{index}")))]);
    let rows = RecordBatch::try_from_iter([
        ("type", text(&|_| "metric".to_owned())),
        ("id", text(&|index| format!("e{index}"))),
        ("timestamp", Arc::new(TimestampMicrosecondArray::from(vec![now().0; to - from])) as ArrayRef),
        ("unit", Arc::new(unit)),
        ("event", text(&|_| "purchase".to_owned())),
        ("value", Arc::new(Float64Array::from(vec![2.5; to - from]))),
        ("properties", text(&|index| format!(r#"{{"index": {index}}}"#))),
    ])
    .unwrap();
    let path = dir.join("d.parquet");
    let mut writer =
        parquet::arrow::ArrowWriter::try_new(std::fs::File::create(&path).unwrap(), rows.schema(), None).unwrap();
    writer.write(&rows).unwrap();
    writer.close().unwrap();
    path
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_lines_are_named_and_kept_and_their_neighbours_are_taken() {
    let server = Server::start().await;
    let key = shop(&server).await;
    let dir = tempfile::tempdir().unwrap();
    let without_id = r#"{"type":"metric","timestamp":1,"unit":{"id":"u"},"event":"e"}"#;
    let text = format!("{}\n\nnonsense\n{without_id}\n{}", line("a"), line("b"));
    let path = file(dir.path(), "mixed.ndjson", text.as_bytes());
    let kept = dir.path().join("rejected.ndjson");
    let args = [path.to_str().unwrap(), "--key", &key, "--rejected", kept.to_str().unwrap()];
    let (output, total) = import(&server, &args).await;
    assert_eq!((output.status.code(), total), (Some(1), sums(4, 2, 0, 2)));
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(told.contains("mixed.ndjson:3: malformed_json"), "{told}");
    assert!(told.contains("mixed.ndjson:4: missing_field") && told.contains("`id`"), "{told}");
    let kept: Vec<Value> =
        std::fs::read_to_string(kept).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((&kept[0]["line"], &kept[0]["event"]), (&json!(3), &json!("nonsense")));
    assert_eq!((&kept[1]["field"], &kept[1]["event"]["event"]), (&json!("id"), &json!("e")));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_import_goes_on_when_the_server_is_killed_under_it() {
    let mut server = Server::start().await;
    let key = shop(&server).await;
    let dir = tempfile::tempdir().unwrap();
    let path = file(dir.path(), "large.ndjson", lines(0, 60_000).as_bytes());
    let mut command = liftgate();
    command.args(["import-events", "--url", &server.url(""), "--key", &key, "--output", "json"]).arg(&path);
    let importing = tokio::task::spawn_blocking(move || command.output().unwrap());
    for kill in 1..=2 {
        while !importing.is_finished() && until_some(&server).await < kill * 15_000 {}
        server.kill_and_restart().await;
    }
    let output = importing.await.unwrap();
    assert!(output.status.success(), "{output:?}");
    let total = serde_json::from_slice::<Value>(&output.stdout).unwrap()["total"].clone();
    let count = |name: &str| total[name].as_u64().unwrap();
    // What was taken and not answered before a kill is a duplicate when it is sent again.
    assert_eq!((count("sent"), count("accepted") + count("duplicates")), (60_000, 60_000), "{total:#}");
    assert_eq!(until_stored(&server, 60_000).await, json!({"exposures": 0, "metrics": 60_000, "surplus": 0}));
}

async fn until_some(server: &Server) -> u64 {
    let counts = server.get("/projects/shop/environments/production/events/counts").await;
    counts["stored"]["metrics"].as_u64().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_call_is_refused_before_anything_is_sent() {
    let server = Server::start().await;
    let key = shop(&server).await;
    let dir = tempfile::tempdir().unwrap();
    let good = file(dir.path(), "a.ndjson", line("a").as_bytes());
    let csv = file(dir.path(), "a.csv", b"id,event\n");
    let odd = file(dir.path(), "a.parquet", b"no columns");
    let (good, csv, odd) = (good.to_str().unwrap(), csv.to_str().unwrap(), odd.to_str().unwrap());
    for (args, code, words) in [
        (vec![good, csv, "--key", &key], 2, "no known ending"),
        (vec![good], 2, "--key"),
        (vec![good, "missing.ndjson", "--key", &key], 1, "missing.ndjson"),
        (vec![odd, "--key", &key], 1, "not readable as Parquet"),
        (vec![good, "--key", "env_wrong"], 1, "not known or revoked"),
        (vec![good, "--token", TOKEN, "-p", "shop", "-e", "nowhere"], 2, "nowhere"),
    ] {
        let (output, _) = import(&server, &args).await;
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(code), "{args:?}: {told}");
        assert!(told.contains(words), "{args:?}: {told}");
    }
    assert_eq!(until_some(&server).await, 0);
}
