//! The analysts' notebooks run in their short form: reference values are still what the other engines say, and the error
//! rates under peeking are what this very binary makes of simulated experiments.

use std::{path::PathBuf, process::Command};

fn python() -> Option<PathBuf> {
    let python = std::env::var_os("LIFTGATE_NOTEBOOKS_PYTHON").map_or_else(
        || PathBuf::from(std::env::var_os("HOME").unwrap()).join(".cache/liftgate/notebooks-venv/bin/python"),
        PathBuf::from,
    );
    let is_there = Command::new(&python).args(["-c", "import nbclient, gbstats"]).output();
    is_there.is_ok_and(|output| output.status.success()).then_some(python)
}

fn run(name: &str) {
    let Some(python) = python() else {
        // The pinned engines exist for Python 3.11 only; `make test-deps` says how to get it.
        println!("SKIPPED: notebook `{name}` needs Python 3.11 with notebooks/requirements.txt: run `make test-deps`");
        return;
    };
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..");
    let output = Command::new(python)
        .arg(root.join("notebooks/run.py"))
        .arg(name)
        .env("LIFTGATE_SHORT", "1")
        .env("LIFTGATE_BIN", env!("CARGO_BIN_EXE_liftgate"))
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    assert!(said.contains("cells executed"), "{said}");
}

#[test]
fn reference_values_are_what_the_other_engines_answer_live() {
    run("reference_fixtures");
}

#[test]
fn error_rates_under_peeking_are_kept_by_the_real_program() {
    run("aa_calibration");
}
