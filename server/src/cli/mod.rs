//! The command line. Exit codes: 0 done, 1 refused or failed (the reason is on stderr), 2 called wrongly.

mod analyze;
mod apply;
mod client;
mod doctor;
mod documents;
mod evaluate;
mod import;
mod import_flags;
mod input;
mod lines;
mod output;
mod power;
mod quarantine;
mod results;
mod rollout;
mod serve;

use std::{path::PathBuf, process::ExitCode, sync::Arc};

use clap::{Args, Parser, Subcommand};
use liftgate_domain::SystemClock;
use thiserror::Error;

use crate::{
    config::{self, Config, Effective},
    demo,
    entropy::OsEntropy,
};

/// Feature rollouts that watch their own guardrails.
#[derive(Debug, Parser)]
#[command(name = "liftgate", version, about, propagate_version = true, arg_required_else_help = true)]
#[command(
    after_help = "Examples:\n  liftgate demo\n  liftgate serve --data-dir ./liftgate-data\n  liftgate apply -f flags.yaml\n  liftgate rollout why new-checkout -p shop -e production"
)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the whole loop with simulated shoppers: a harmful change is rolled back, good ones reach 100 %.
    #[command(after_help = "Examples:\n  liftgate demo\n  liftgate demo --fresh --exit --seed 2")]
    Demo(demo::DemoArgs),
    /// Run the server.
    #[command(
        after_help = "Examples:\n  liftgate serve\n  liftgate serve --listen 0.0.0.0:8080 --data-dir /var/lib/liftgate\n  liftgate serve --set catalog=postgres://liftgate:secret@db/liftgate\n\nSettings come from liftgate.toml, then LIFTGATE_* variables, then flags; `liftgate doctor` shows what is in effect."
    )]
    Serve(ConfigArgs),
    /// Declare projects, environments, flags, metrics, policies, experiments, endpoints, rollouts from YAML or JSON files.
    #[command(
        after_help = "Examples:\n  liftgate apply -f shop.yaml -f flags/\n  cat flag.yaml | liftgate apply -f -\n\n`${NAME}` in a file is replaced by that environment variable. Applying the same again changes nothing."
    )]
    Apply(apply::ApplyArgs),
    /// Show an experiment's readout: lifts, intervals, verdicts.
    #[command(
        after_help = "Examples:\n  liftgate results banner-test -p shop -e production\n  liftgate results banner-test -p shop -e production --output json"
    )]
    Results(results::ResultsArgs),
    /// Analyse moments of arms: estimates, intervals, p- and e-values, verdicts. Needs no server.
    #[command(
        after_help = "Examples:\n  liftgate analyze experiment.json\n  echo '{\"kind\": \"proportion\", \"arms\": [{\"arm\": \"off\", \"n\": 10000, \"events\": 500}, {\"arm\": \"on\", \"n\": 10000, \"events\": 580}]}' | liftgate analyze -\n  liftgate analyze --output json requests.ndjson > answers.ndjson\n  liftgate analyze --schema request\n\nThe field `analysis` names what is wanted: metric (when left out), experiment, slices, guardrail, srm, rates or multiplicity. A request that cannot be answered gives an error in its place, and code 1 at the end."
    )]
    Analyze(documents::DocumentArgs),
    /// Plan an experiment: units and days it needs, the power and the smallest effect at a size. Needs no server.
    #[command(
        after_help = "Examples:\n  echo '{\"kind\": \"proportion\", \"baseline\": {\"mean\": 0.05}, \"effect\": {\"relative\": 0.2}}' | liftgate power -\n  echo '{\"kind\": \"mean\", \"baseline\": {\"mean\": 12, \"variance\": 900, \"units\": 20000}, \"effect\": {\"absolute\": 0.5}, \"method\": \"sequential\", \"traffic\": {\"units_per_day_low\": 4000, \"units_per_day_high\": 6000}}' | liftgate power -\n  liftgate power --schema request"
    )]
    Power(documents::DocumentArgs),
    /// Watch and steer rollouts.
    #[command(
        after_help = "Examples:\n  liftgate rollout list -p shop -e production\n  liftgate rollout why new-search -p shop -e production\n  liftgate rollout rollback new-search -p shop -e production --reason 'support tickets'"
    )]
    Rollout(rollout::RolloutArgs),
    /// Look at events that were set aside as implausible, replay or discard them.
    #[command(
        after_help = "Examples:\n  liftgate quarantine list -p shop -e production\n  liftgate quarantine replay --reason timestamp_too_old -p shop -e production\n  liftgate quarantine discard 1734-2 -p shop -e production\n\nEach node keeps its own quarantine: name the node with --url."
    )]
    Quarantine(quarantine::QuarantineArgs),
    /// Evaluate a flag of a running server, with the trace of how its answer came about; or contexts of Flagsmith's engine.
    #[command(
        after_help = "Examples:\n  liftgate evaluate checkout -p shop -e production --context '{\"targetingKey\": \"u1\"}' --explain\n  liftgate evaluate --flagsmith contexts.ndjson > results.ndjson\n  liftgate evaluate --flagsmith - --reasons v10 < context.json\n\nContexts are one JSON document, or one a line; each result is one line, in order. A context that cannot be read gives an error object in its place, and code 1 at the end."
    )]
    Evaluate(evaluate::EvaluateArgs),
    /// Import an environment with its flags and segments from another system; every unit keeps what it was served.
    #[command(
        after_help = "Examples:\n  curl -H 'X-Environment-Key: ser.KEY' https://flagsmith.example/api/v1/environment-document/ > document.json\n  liftgate import --from flagsmith document.json -p shop -e production\n  liftgate import --from flagsmith document.json -p shop -e production --dry-run"
    )]
    Import(import_flags::ImportFlagsArgs),
    /// Import events from NDJSON or Parquet files.
    #[command(
        after_help = "Examples:\n  liftgate import-events events.ndjson.gz --key env_...\n  liftgate import-events part-*.parquet -p shop -e production --rejected rejected.ndjson\n\nEach line or row is an event as `POST /ingest/v1/events` takes it. An import that was interrupted is run again as it was: what was taken before counts once."
    )]
    ImportEvents(import::ImportArgs),
    /// Show the configuration in effect, where each value came from, and whether the stores can be reached.
    #[command(
        after_help = "Examples:\n  liftgate doctor\n  LIFTGATE_LISTEN=0.0.0.0:9000 liftgate doctor --output json\n  liftgate doctor events"
    )]
    Doctor(doctor::DoctorArgs),
}

/// How the server is configured.
#[derive(Debug, Args)]
pub struct ConfigArgs {
    /// Configuration file; `liftgate.toml` in this folder is read when it exists.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Address and port to listen on.
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<String>,
    /// Folder of the embedded stores and of the event log.
    #[arg(long, value_name = "DIR")]
    data_dir: Option<String>,
    /// Any setting by its name, such as `--set query_threads=4`; may be repeated.
    #[arg(long = "set", value_name = "NAME=VALUE", value_parser = name_and_value)]
    set: Vec<(String, String)>,
}

fn name_and_value(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("write it as NAME=VALUE")?;
    Ok((name.trim().to_owned(), value.to_owned()))
}

impl ConfigArgs {
    /// What is in effect.
    fn effective(&self) -> Result<Effective, config::Error> {
        let mut flags = self.set.clone();
        for (name, value) in [("listen", &self.listen), ("data_dir", &self.data_dir)] {
            flags.extend(value.clone().map(|value| (name.to_owned(), value)));
        }
        Effective::gather(self.config.as_deref(), |name| std::env::var(name).ok(), &flags)
    }

    fn config(&self) -> Result<Config, config::Error> {
        Config::from_effective(&self.effective()?)
    }
}

/// Why a command failed.
#[derive(Debug, Error)]
pub enum Error {
    /// The configuration is wrong.
    #[error(transparent)]
    Config(#[from] config::Error),
    /// The server cannot start or stopped for a reason.
    #[error(transparent)]
    Serve(#[from] crate::serve::Error),
    /// The demo failed.
    #[error(transparent)]
    Demo(#[from] demo::Error),
    /// The server refused or cannot be reached.
    #[error(transparent)]
    Client(#[from] client::Error),
    /// A file cannot be read.
    #[error("`{path}` cannot be read: {source}")]
    File {
        /// The file.
        path: String,
        /// Why.
        source: std::io::Error,
    },
    /// Some of what was asked for was done, and some was not.
    #[error("{0}")]
    Incomplete(String),
    /// Something about the call itself.
    #[error("{0}")]
    Usage(String),
}

/// Runs the command that was asked for.
pub async fn run(cli: Cli) -> ExitCode {
    let clock = Arc::new(SystemClock);
    let entropy = Arc::new(OsEntropy);
    let outcome = match cli.command {
        Command::Demo(args) => demo::run(args, clock, entropy).await.map_err(Error::from),
        Command::Serve(args) => serve::run(&args, clock, entropy).await.map(|()| ExitCode::SUCCESS),
        Command::Apply(args) => apply::run(args).await.map(|()| ExitCode::SUCCESS),
        Command::Results(args) => results::run(args).await.map(|()| ExitCode::SUCCESS),
        Command::Analyze(args) => analyze::run(&args),
        Command::Power(args) => power::run(&args),
        Command::Rollout(args) => rollout::run(args).await.map(|()| ExitCode::SUCCESS),
        Command::Quarantine(args) => quarantine::run(args).await.map(|()| ExitCode::SUCCESS),
        Command::Evaluate(args) => evaluate::run(args).await,
        Command::Import(args) => import_flags::run(args).await.map(|()| ExitCode::SUCCESS),
        Command::ImportEvents(args) => import::run(args).await,
        Command::Doctor(args) => doctor::run(args, clock).await,
    };
    outcome.unwrap_or_else(|error| {
        eprintln!("liftgate: {error}");
        ExitCode::from(match error {
            Error::Usage(_) | Error::Config(_) => 2,
            _ => 1,
        })
    })
}
