//! The command line as people use it: helpful help, clear refusals, and exit codes that scripts can rely on.

use std::{net::TcpListener, process::Output};

use crate::harness::{Server, TOKEN, liftgate, shop};

fn run(args: &[&str]) -> Output {
    liftgate().args(args).output().unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn every_command_has_help_with_an_example() {
    for args in [
        &["--help"][..],
        &["demo", "--help"],
        &["serve", "--help"],
        &["apply", "--help"],
        &["results", "--help"],
        &["rollout", "--help"],
        &["doctor", "--help"],
        &["doctor", "events", "--help"],
        &["import-events", "--help"],
        &["quarantine", "--help"],
    ] {
        let output = run(args);
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success() && text.contains("Examples:"), "{args:?}: {text}");
    }
    assert_eq!(run(&["serve", "--nonsense"]).status.code(), Some(2));
}

#[test]
fn a_wrong_setting_is_named_with_its_source() {
    let output = run(&["serve", "--set", "query_threads=many"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("`query_threads` (flag --set query_threads) is `many`"), "{}", stderr(&output));
    let output = run(&["doctor", "--set", "querythreads=2"]);
    assert!(stderr(&output).contains("`querythreads`"), "{}", stderr(&output));
}

#[test]
fn a_data_folder_that_cannot_be_written_is_a_clear_error() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    std::fs::write(&file, "in the way").unwrap();
    let inside = file.join("data");
    let output = run(&["serve", "--listen", "127.0.0.1:0", "--data-dir", inside.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(1));
    let text = stderr(&output);
    assert!(text.contains("cannot be written") && text.contains("--data-dir"), "{text}");
}

#[test]
fn a_port_in_use_is_a_clear_error_and_touches_no_data() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let listen = taken.local_addr().unwrap().to_string();
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let output = run(&["serve", "--listen", &listen, "--data-dir", data.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(1));
    let text = stderr(&output);
    assert!(text.contains(&listen) && text.contains("--listen"), "{text}");
    assert!(!data.exists(), "the data folder was touched although the port was taken");
}

#[tokio::test(flavor = "multi_thread")]
async fn apply_and_rollout_commands_talk_to_the_server() {
    let server = Server::start().await;
    shop(&server).await;
    let url = server.url("");
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("rollout.yaml");
    std::fs::write(&file, "{kind: rollout, project: shop, environment: production, key: \"${NAME}\", spec: {flag: checkout, policy: quick}}").unwrap();
    let call = |args: &[&str]| {
        liftgate().args(args).env("LIFTGATE_URL", &url).env("LIFTGATE_TOKEN", TOKEN).env("NAME", "r1").output().unwrap()
    };
    let output = call(&["apply", "-f", file.to_str().unwrap()]);
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(String::from_utf8_lossy(&output.stdout).contains("started"));
    let place = ["-p", "shop", "-e", "production"];
    for command in ["show", "why", "pause", "resume", "replay", "rollback"] {
        let output = call(&[&["rollout", command, "r1"][..], &place].concat());
        assert!(output.status.success(), "{command}: {}", stderr(&output));
    }
    let output = call(&[&["rollout", "list", "--output", "csv"][..], &place].concat());
    let listed = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(listed.contains("r1,checkout,rolled_back"), "{listed}");
    let output = call(&[&["rollout", "why", "nothing"][..], &place].concat());
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("nothing"), "{}", stderr(&output));
    let output = liftgate()
        .args(["rollout", "list", "-p", "shop", "-e", "production", "--data-dir", "/nonexistent"])
        .output()
        .unwrap();
    assert!(stderr(&output).contains("--token"), "{}", stderr(&output));
}
