//! Sends batches of events over HTTP and counts what is acknowledged. The bodies are made before the clock starts; the
//! same rows in either form.

use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use liftgate_domain::Timestamp;
use serde_json::json;

use crate::{
    option,
    shape::{NAMES, mix},
};

#[derive(Copy, Clone, PartialEq, Eq)]
enum Form {
    Native,
    ClickHouse,
}

pub fn run(arguments: &[&str]) {
    let url = (*arguments.first().expect("the address to send to")).to_owned();
    let form = match option(arguments, "--form", "native".to_owned()).as_str() {
        "clickhouse" => Form::ClickHouse,
        _ => Form::Native,
    };
    let key: String = option(arguments, "--key", String::new());
    let batch_rows: u64 = option(arguments, "--batch", 500);
    let rows: u64 = option(arguments, "--rows", 2_000_000);
    let senders: usize = option(arguments, "--senders", 8);
    let seed: u64 = option(arguments, "--seed", 1);
    let now: i64 = option(arguments, "--now-ms", 0);
    let bodies: Vec<bytes::Bytes> =
        (0..rows / batch_rows).map(|batch| body(form, seed, batch * batch_rows, batch_rows, now).into()).collect();
    let body_bytes: usize = bodies.iter().map(bytes::Bytes::len).sum();
    // A second provider in one process is refused, and the first is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime can be made");
    let bodies = Arc::new(bodies);
    let (seconds, mut latencies) = runtime.block_on(send_all(&url, &key, form, &bodies, senders));
    latencies.sort_by(f64::total_cmp);
    let at = |p: f64| latencies[((latencies.len() - 1) as f64 * p) as usize];
    let sent = bodies.len() as u64 * batch_rows;
    println!(
        "{}",
        json!({"rows": sent, "seconds": seconds, "rows_per_second": sent as f64 / seconds, "batch": batch_rows,
            "senders": senders, "bytes_per_row": body_bytes as f64 / sent as f64,
            "p50_ms": at(0.5), "p99_ms": at(0.99)})
    );
}

async fn send_all(
    url: &str,
    key: &str,
    form: Form,
    bodies: &Arc<Vec<bytes::Bytes>>,
    senders: usize,
) -> (f64, Vec<f64>) {
    let client = reqwest::Client::builder().no_proxy().build().expect("a client can be made");
    let next = Arc::new(AtomicUsize::new(0));
    let began = Instant::now();
    let tasks: Vec<_> = (0..senders)
        .map(|_| {
            let (client, next, bodies) = (client.clone(), Arc::clone(&next), Arc::clone(bodies));
            let (url, key) = (url.to_owned(), key.to_owned());
            tokio::spawn(async move {
                let mut latencies = Vec::new();
                while let Some(body) = bodies.get(next.fetch_add(1, Ordering::Relaxed)) {
                    loop {
                        let began = Instant::now();
                        let mut request = client.post(&url).body(body.clone());
                        if form == Form::Native {
                            request = request.header("x-api-key", &key).header("content-type", "application/json");
                        }
                        let answer = request.send().await.expect("the server answers");
                        let status = answer.status();
                        let text = answer.text().await.expect("the answer can be read");
                        if status.as_u16() == 503 {
                            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
                            continue;
                        }
                        assert!(status.is_success(), "{status}: {text}");
                        if form == Form::Native {
                            let receipt: serde_json::Value = serde_json::from_str(&text).expect("a receipt is JSON");
                            assert_eq!(receipt["rejected"].as_array().map_or(0, Vec::len), 0, "{text}");
                        }
                        latencies.push(began.elapsed().as_secs_f64() * 1e3);
                        break;
                    }
                }
                latencies
            })
        })
        .collect();
    let mut latencies = Vec::new();
    for task in tasks {
        latencies.extend(task.await.expect("a sender does not panic"));
    }
    (began.elapsed().as_secs_f64(), latencies)
}

fn body(form: Form, seed: u64, first: u64, rows: u64, now_ms: i64) -> Vec<u8> {
    let mut text = String::with_capacity(rows as usize * 220);
    if form == Form::Native {
        text.push_str("{\"events\":[");
    }
    for number in first..first + rows {
        let chance = mix(number ^ (seed << 48));
        let (unit, name, value) = (chance % 1_000_000, NAMES[(chance >> 20) as usize % 5], (chance >> 30) % 20_000);
        let (euros, cents) = (value / 100, value % 100);
        let at = Timestamp((now_ms - (chance >> 45) as i64 % 60_000) * 1_000);
        let id = mix(chance);
        let plan = ["free", "pro", "team"][(chance % 3) as usize];
        match form {
            Form::Native => {
                let comma = if number == first { "" } else { "," };
                write!(
                    text,
                    "{comma}{{\"type\":\"metric\",\"id\":\"{id:016x}{number:016x}\",\"timestamp\":\"{at}\",\"unit\":{{\"type\":\"user\",\
                     \"id\":\"user-{unit}\"}},\"event\":\"{name}\",\"value\":{euros}.{cents:02},\"properties\":{{\"plan\":\"{plan}\"}}}}"
                )
            }
            Form::ClickHouse => writeln!(
                text,
                "{{\"event_id\":\"{id:016x}{number:016x}\",\"ts\":\"{at}\",\"unit_type\":\"user\",\"unit_id\":\"user-{unit}\",\
                 \"name\":\"{name}\",\"value\":{euros}.{cents:02},\"properties\":{{\"plan\":\"{plan}\"}}}}"
            ),
        }
        .expect("writing to a string cannot fail");
    }
    if form == Form::Native {
        text.push_str("]}");
    }
    text.into_bytes()
}
