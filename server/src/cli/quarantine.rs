//! `liftgate quarantine ...`: events that were accepted and are not believed.

use std::fmt::Write as _;

use clap::{Args, Subcommand, ValueEnum};
use serde_json::{Map, Value, json};

use super::{
    Error,
    client::{Client, PlaceArgs, ServerArgs},
    output::{self, Output, text},
};

/// What to do with quarantine.
#[derive(Debug, Args)]
pub struct QuarantineArgs {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// List what is in quarantine and why, oldest first.
    List(ListArgs),
    /// Hand events to the warehouse after all; what is still not believed stays.
    Replay(ReplayArgs),
    /// Throw events away; their ids stay known.
    Discard(LeaveArgs),
}

/// Where to look.
#[derive(Debug, Args)]
struct Common {
    #[command(flatten)]
    place: PlaceArgs,
    #[command(flatten)]
    server: ServerArgs,
    /// The form of the output.
    #[arg(long, value_enum, default_value_t)]
    output: Output,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
#[value(rename_all = "snake_case")]
enum Reason {
    /// It happened before retention begins.
    TimestampTooOld,
    /// It happened more than a day ahead of the server's clock.
    TimestampInFuture,
}

#[derive(Debug, Args)]
struct ListArgs {
    #[command(flatten)]
    common: Common,
    /// Only those that are there for this reason.
    #[arg(long, value_enum)]
    reason: Option<Reason>,
    /// Only those behind this one, as the page before says.
    #[arg(long, value_name = "ID")]
    after: Option<String>,
    /// At most so many, up to 1000.
    #[arg(long, default_value_t = 100)]
    limit: usize,
}

#[derive(Debug, Args)]
#[group(id = "which", required = true, multiple = false, args = ["ids", "leaving_reason", "all"])]
struct LeaveArgs {
    /// Ids in quarantine, such as `1734-2`.
    #[arg(value_name = "ID")]
    ids: Vec<String>,
    /// All that are there for this reason.
    #[arg(long = "reason", id = "leaving_reason", value_enum)]
    reason: Option<Reason>,
    /// All.
    #[arg(long)]
    all: bool,
    #[command(flatten)]
    common: Common,
}

#[derive(Debug, Args)]
struct ReplayArgs {
    #[command(flatten)]
    leave: LeaveArgs,
    /// Give them the time at which the server received them, instead of their own.
    #[arg(long)]
    received_time: bool,
}

impl Reason {
    fn as_str(self) -> &'static str {
        match self {
            Self::TimestampTooOld => "timestamp_too_old",
            Self::TimestampInFuture => "timestamp_in_future",
        }
    }
}

impl LeaveArgs {
    fn selection(&self) -> Map<String, Value> {
        let (name, value) = match (self.reason, self.all) {
            (Some(reason), _) => ("reason", json!(reason.as_str())),
            (None, true) => ("all", json!(true)),
            (None, false) => ("ids", json!(self.ids)),
        };
        Map::from_iter([(name.to_owned(), value)])
    }
}

pub async fn run(args: QuarantineArgs) -> Result<(), Error> {
    match args.command {
        Command::List(args) => list(args).await,
        Command::Replay(args) => {
            let mut body = args.leave.selection();
            let time = if args.received_time { "received_at" } else { "as_sent" };
            body.insert("time".to_owned(), time.into());
            leave(&args.leave.common, "quarantine/replay", body, &["replayed", "still_refused", "duplicates"]).await
        }
        Command::Discard(args) => leave(&args.common, "quarantine/discard", args.selection(), &["discarded"]).await,
    }
}

async fn list(args: ListArgs) -> Result<(), Error> {
    let mut query = format!("quarantine?limit={}", args.limit);
    if let Some(reason) = args.reason {
        let _ = write!(query, "&reason={}", reason.as_str());
    }
    if let Some(after) = &args.after {
        let _ = write!(query, "&after={after}");
    }
    let page = Client::new(&args.common.server)?.get(&args.common.place.path(&query)).await?;
    let rows: Vec<Vec<String>> = page["events"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|event| {
            let row = &event["rows"][0];
            let mut cells: Vec<String> = ["id", "code"].iter().map(|name| text(event, name)).collect();
            cells.extend(["event_id", "kind", "name", "unit_id"].iter().map(|name| text(row, name)));
            cells.extend(["ts", "received_at"].iter().map(|name| text(event, name)));
            cells
        })
        .collect();
    let header = ["ID", "REASON", "EVENT", "KIND", "NAME", "UNIT", "TIME", "RECEIVED"];
    output::print(args.common.output, &page, &header, &rows);
    if args.common.output == Output::Table
        && let Some(next) = page["next"].as_str()
    {
        eprintln!("there is more: `--after {next}` shows it");
    }
    Ok(())
}

async fn leave(common: &Common, path: &str, body: Map<String, Value>, counts: &[&str]) -> Result<(), Error> {
    let answer = Client::new(&common.server)?.post(&common.place.path(path), &Value::Object(body)).await?;
    let header: Vec<String> = counts.iter().map(|name| name.to_uppercase().replace('_', " ")).collect();
    let header: Vec<&str> = header.iter().map(String::as_str).collect();
    let row = counts.iter().map(|name| text(&answer, name)).collect();
    output::print(common.output, &answer, &header, &[row]);
    Ok(())
}
