//! `liftgate import-events`: sends the events of files through the same door as everybody's, so that ids deduplicate and
//! an interrupted import is simply run again.

mod batch;
mod identity;
mod parquet_rows;
mod refusals;
mod sender;
mod source;

use std::{path::PathBuf, process::ExitCode};

use clap::Args;
use futures::{StreamExt, TryStreamExt, stream};
use indicatif::{ProgressBar, ProgressStyle};
use reqwest::Url;
use serde_json::json;
use tokio::sync::mpsc;

use self::{batch::Batch, identity::Identity, refusals::Refusals, sender::Sender, source::Source};
use super::{
    Error,
    client::{Client, ServerArgs},
    output::{self, Output},
};

/// Batches on their way to the server at a time.
const IN_FLIGHT_MAX: usize = 4;
/// Batches that wait for their turn.
const READ_AHEAD: usize = 2;

/// What to import, and where to.
#[derive(Debug, Args)]
pub struct ImportArgs {
    /// NDJSON (`.ndjson`, `.jsonl`, `.json`; also packed as `.gz` or `.zst`) or Parquet (`.parquet`).
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Key of the environment; without it, the first client key of `-p` and `-e` is asked for with the token.
    #[arg(long, env = "LIFTGATE_KEY", hide_env_values = true, value_name = "KEY")]
    key: Option<String>,
    /// The project, to find the key of.
    #[arg(short, long, env = "LIFTGATE_PROJECT")]
    project: Option<String>,
    /// The environment, to find the key of.
    #[arg(short, long, env = "LIFTGATE_ENVIRONMENT")]
    environment: Option<String>,
    #[command(flatten)]
    server: ServerArgs,
    /// Give events without an id one that is made from their content; equal events then count once.
    #[arg(long)]
    id_from_content: bool,
    /// Write what was refused into this file, with the reasons, one JSON object a line.
    #[arg(long, value_name = "FILE")]
    rejected: Option<PathBuf>,
    /// The form of the output.
    #[arg(long, value_enum, default_value_t)]
    output: Output,
}

/// What became of the events.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, serde::Serialize)]
pub struct Sums {
    /// Events read.
    pub sent: u64,
    /// Events that were new.
    pub accepted: u64,
    /// Events that were known.
    pub duplicates: u64,
    /// Events that can never be taken as they are.
    pub rejected: u64,
    /// Of the accepted: set aside as implausible.
    pub quarantined: u64,
}

impl Sums {
    fn add(&mut self, other: Self) {
        self.sent += other.sent;
        self.accepted += other.accepted;
        self.duplicates += other.duplicates;
        self.rejected += other.rejected;
        self.quarantined += other.quarantined;
    }
}

pub async fn run(args: ImportArgs) -> Result<ExitCode, Error> {
    // A wrong name must not show after half of the import.
    let sources = args.files.iter().map(|path| Source::of(path)).collect::<Result<Vec<_>, _>>()?;
    let key = find_key(&args).await?;
    let sender = Sender::new(args.server.url(), &key)?;
    let identity = if args.id_from_content { Identity::FromContent } else { Identity::Given };
    let mut refusals = Refusals::open(args.rejected.as_deref())?;
    let progress = progress(sources.iter().map(Source::bytes).sum());
    let mut rows = Vec::new();
    let mut total = Sums::default();
    for source in sources {
        let name = source.name().to_owned();
        progress.set_message(name.clone());
        let sums = import(source, identity, &sender, &mut refusals, &progress).await?;
        total.add(sums);
        rows.push((name, sums));
    }
    progress.finish_and_clear();
    refusals.finish()?;
    print(&args, &rows, total);
    Ok(if total.rejected > 0 { ExitCode::from(1) } else { ExitCode::SUCCESS })
}

/// Sends one file. Batches are answered in the order of their lines, so that refusals are as well.
async fn import(
    source: Source,
    identity: Identity,
    sender: &Sender,
    refusals: &mut Refusals,
    progress: &ProgressBar,
) -> Result<Sums, Error> {
    let name = source.name().to_owned();
    let (batches, queue) = mpsc::channel::<Batch>(READ_AHEAD);
    let reading = tokio::task::spawn_blocking(move || source.read(identity, &batches));
    let answered = stream::unfold(queue, async |mut queue| queue.recv().await.map(|batch| (batch, queue)))
        .map(|batch| async move { sender.send(&batch).await.map(|receipt| (batch, receipt)) })
        .buffered(IN_FLIGHT_MAX)
        .try_fold((Sums::default(), refusals), async |(mut sums, refusals), (batch, receipt)| {
            sums.add(receipt.sums(&batch));
            for refusal in receipt.refusals(&batch) {
                refusals.add(&name, &refusal)?;
            }
            progress.set_position(progress.position() + batch.source_bytes);
            Ok((sums, refusals))
        })
        .await
        .map(|(sums, _)| sums);
    // The reader stops by itself once nobody takes its batches.
    let read = reading.await.map_err(|error| Error::Incomplete(format!("reading `{name}` stopped: {error}")))?;
    let sums = answered?;
    read.map(|()| sums)
}

async fn find_key(args: &ImportArgs) -> Result<String, Error> {
    if let Some(key) = &args.key {
        return Ok(key.trim().to_owned());
    }
    let (Some(project), Some(environment)) = (&args.project, &args.environment) else {
        let why = "say which environment: pass its key with `--key`, or name it with `-p PROJECT -e ENVIRONMENT`";
        return Err(Error::Usage(why.to_owned()));
    };
    let path = format!("/manage/v1/projects/{project}/environments/{environment}/keys");
    let keys = Client::new(&args.server)?.get(&path).await?;
    // A client key is public, so it is shown whole.
    let usable = keys["items"]
        .as_array()
        .into_iter()
        .flatten()
        .find(|key| key["kind"] == "client" && key["revoked_at"].is_null())
        .and_then(|key| key["display"].as_str());
    usable.map(str::to_owned).ok_or_else(|| {
        Error::Usage(format!(
            "environment `{environment}` has no client key: make one, or pass a server key with `--key`"
        ))
    })
}

fn progress(bytes: u64) -> ProgressBar {
    // Drawn on stderr, and only on a terminal.
    let style = ProgressStyle::with_template("{msg} {wide_bar} {bytes}/{total_bytes} {bytes_per_sec} {eta}");
    ProgressBar::new(bytes).with_style(style.expect("the template is valid"))
}

fn print(args: &ImportArgs, files: &[(String, Sums)], total: Sums) {
    let row = |name: &str, sums: &Sums| {
        let Sums { sent, accepted, duplicates, rejected, quarantined } = *sums;
        let mut row = vec![name.to_owned()];
        row.extend([sent, accepted, duplicates, rejected, quarantined].map(|count| count.to_string()));
        row
    };
    let mut rows: Vec<Vec<String>> = files.iter().map(|(name, sums)| row(name, sums)).collect();
    if files.len() > 1 {
        rows.push(row("all", &total));
    }
    let shown: Vec<_> = files.iter().map(|(name, sums)| json!({"file": name, "sums": sums})).collect();
    let whole = json!({"files": shown, "total": total});
    output::print(args.output, &whole, &["FILE", "SENT", "ACCEPTED", "DUPLICATES", "REJECTED", "QUARANTINED"], &rows);
    if args.output == Output::Table && total.quarantined > 0 {
        eprintln!("note: quarantined events were accepted and are kept; `liftgate quarantine list` shows why");
    }
}

/// The address of the event door.
fn door(url: &Url) -> Url {
    let mut door = url.clone();
    door.set_path("/ingest/v1/events");
    door.set_query(None);
    door
}
