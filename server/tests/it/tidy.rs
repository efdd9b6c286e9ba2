//! The arrows of the house: which room may know which. A broken arrow fails here.

use std::{collections::BTreeSet, path::PathBuf, process::Command};

/// Crates that touch the network, a database, the file system's async form, or logs.
const IO: &[&str] = &[
    "tokio",
    "sqlx",
    "sqlx-core",
    "reqwest",
    "hyper",
    "axum",
    "tracing",
    "log",
    "mio",
    "datafusion",
    "parquet",
    "object_store",
];
/// What only `store` may know.
const ENGINES: &[&str] = &["sqlx", "sqlx-core", "arrow", "parquet", "datafusion", "clickhouse"];
/// File formats among these that `server` reads of people's own files when it imports events, and writes results in.
const FORMATS: &[&str] = &["arrow", "parquet"];
/// What only `server` may know.
const FRONT: &[&str] = &["axum", "clap"];
/// Workers, which never know each other.
const WORKERS: &[&str] = &["liftgate-ingest", "liftgate-scheduler", "liftgate-webhooks", "liftgate-store"];

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn host() -> String {
    let output = Command::new("rustc").arg("-vV").output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().find_map(|line| line.strip_prefix("host: ")).unwrap().to_owned()
}

/// Every crate that a package links, by name; direct ones only when `depth` says so.
fn links(package: &str, depth: Option<&str>) -> BTreeSet<String> {
    let mut command = Command::new(env!("CARGO"));
    command
        .current_dir(root())
        .args(["tree", "--offline", "--locked", "-p", package, "-e", "normal", "--target", &host()])
        .args(["--prefix", "none", "--format", "{p}"]);
    if let Some(depth) = depth {
        command.args(["--depth", depth]);
    }
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines()
        .filter_map(|line| line.split_whitespace().next())
        .map(str::to_owned)
        .filter(|name| name != package)
        .collect()
}

fn assert_none(package: &str, forbidden: &[&str], why: &str) {
    let found: Vec<String> =
        links(package, None).into_iter().filter(|name| forbidden.contains(&name.as_str())).collect();
    assert!(found.is_empty(), "{package} links {found:?}: {why}");
}

#[test]
fn pure_rooms_have_no_input_and_output() {
    for package in ["liftgate-evaluator", "liftgate-stats"] {
        assert_none(package, IO, "it is a pure leaf");
        assert_none(package, &["rand", "getrandom", "fastrand"], "it has no chance of its own");
        let own = links(package, None).into_iter().find(|name| name.starts_with("liftgate"));
        assert_eq!(own, None, "{package} is a leaf");
    }
}

#[test]
fn only_store_knows_engines_and_only_server_knows_the_front() {
    for package in ["liftgate-domain", "liftgate-ingest", "liftgate-scheduler", "liftgate-webhooks"] {
        assert_none(package, ENGINES, "only `store` knows engines");
    }
    for package in ["liftgate-domain", "liftgate-ingest", "liftgate-scheduler", "liftgate-webhooks", "liftgate-store"] {
        assert_none(package, FRONT, "only `server` knows axum and clap");
    }
    let direct = links("liftgate", Some("1"));
    let engines: Vec<_> =
        direct.iter().filter(|name| ENGINES.contains(&name.as_str()) && !FORMATS.contains(&name.as_str())).collect();
    assert!(engines.is_empty(), "server names {engines:?} itself; engines belong to `store`");
    for (path, text) in sources("server/src") {
        let names_format = FORMATS.iter().any(|format| text.contains(&format!("use {format}::")));
        let is_door = path.components().any(|part| part.as_os_str() == "import" || part.as_os_str() == "table");
        assert!(!names_format || is_door, "{} names a file format: imports read files, tables write", path.display());
    }
}

#[test]
fn workers_never_know_each_other() {
    for package in WORKERS {
        let others: Vec<&str> = WORKERS.iter().copied().filter(|other| other != package).collect();
        assert_none(package, &others, "workers meet only through ports");
    }
}

/// The whole of each source file of a folder.
fn sources(folder: &str) -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    let mut folders = vec![root().join(folder)];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = std::fs::read_to_string(&path).unwrap();
                found.push((path, text));
            }
        }
    }
    found
}

#[test]
fn no_source_file_has_grown_two_nouns() {
    for room in ["evaluator", "stats", "domain", "ingest", "store", "scheduler", "webhooks", "server"] {
        for (path, text) in sources(&format!("{room}/src")) {
            let lines = text.lines().count();
            assert!(lines <= 500, "{} has {lines} lines: look for the second noun", path.display());
            assert!(text.starts_with("//!"), "{} does not say what it is for", path.display());
        }
    }
}

#[test]
fn nothing_but_the_clock_and_main_asks_the_system_for_time_or_chance() {
    for room in ["evaluator", "stats", "ingest", "store", "scheduler", "webhooks", "server"] {
        for (path, text) in sources(&format!("{room}/src")) {
            if path.ends_with("server/src/entropy.rs") {
                continue;
            }
            for call in ["SystemTime::now", "Instant::now", "Utc::now", "getrandom::", "rand::rng()", "thread_rng"] {
                assert!(!text.contains(call), "{} calls {call}: take a `Clock` or `Entropy` instead", path.display());
            }
        }
    }
}
