//! `liftgate doctor`: the configuration in effect with where each value came from, and whether the stores answer; and
//! `liftgate doctor events`, whether every accepted event is accounted for.

mod balance;
mod events;

use std::{process::ExitCode, sync::Arc};

use clap::{Args, Subcommand};
use liftgate_domain::Clock;
use serde_json::json;

use super::{
    ConfigArgs, Error,
    output::{self, Output},
};
use crate::{config::Config, serve};

/// What to check.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct DoctorArgs {
    #[command(subcommand)]
    what: Option<What>,
    #[command(flatten)]
    config: ConfigArgs,
    /// The form of the output.
    #[arg(long, value_enum, default_value_t)]
    output: Output,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Ask running servers whether every event that they accepted is stored, on its way, set aside or thrown away.
    #[command(
        after_help = "Examples:\n  liftgate doctor events\n  liftgate doctor events -p shop -e production --node http://other-node:8080\n\nExit code 1 when the books do not add up."
    )]
    Events(events::EventsArgs),
}

pub async fn run(args: DoctorArgs, clock: Arc<dyn Clock>) -> Result<ExitCode, Error> {
    if let Some(What::Events(events)) = args.what {
        return events::run(events).await;
    }
    let effective = args.config.effective()?;
    let rows: Vec<Vec<String>> = effective
        .values()
        .map(|value| {
            vec![
                value.setting.name.to_owned(),
                value.display().into_owned(),
                value.source.to_string(),
                value.setting.help.to_owned(),
            ]
        })
        .collect();
    let checks = match Config::from_effective(&effective) {
        Ok(config) => serve::check(&config, clock).await,
        Err(error) => vec![("configuration", Err(error.to_string()))],
    };
    let whole = json!({
        "settings": rows.iter().map(|row| json!({"name": row[0], "value": row[1], "source": row[2]})).collect::<Vec<_>>(),
        "checks": checks.iter().map(|(name, result)| json!({
            "name": name, "ok": result.is_ok(), "detail": result.as_ref().unwrap_or_else(|error| error),
        })).collect::<Vec<_>>(),
    });
    output::print(args.output, &whole, &["SETTING", "VALUE", "FROM", "WHAT IT IS FOR"], &rows);
    if args.output == Output::Table {
        println!();
        for (name, result) in &checks {
            match result {
                Ok(detail) => println!("ok      {name}: {detail}"),
                Err(error) => println!("FAILED  {name}: {error}"),
            }
        }
    }
    let healthy = checks.iter().all(|(_, result)| result.is_ok());
    Ok(if healthy { ExitCode::SUCCESS } else { ExitCode::from(1) })
}
