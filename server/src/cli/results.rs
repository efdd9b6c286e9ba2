//! `liftgate results`: an experiment's readout.

use clap::Args;
use serde_json::Value;

use super::{
    Error,
    client::{Client, PlaceArgs, ServerArgs},
    output::{self, Output, number, percent, text},
};

/// Which experiment.
#[derive(Debug, Args)]
pub struct ResultsArgs {
    /// The experiment's key.
    experiment: String,
    #[command(flatten)]
    place: PlaceArgs,
    #[command(flatten)]
    server: ServerArgs,
    /// The form of the output.
    #[arg(long, value_enum, default_value_t)]
    output: Output,
}

pub async fn run(args: ResultsArgs) -> Result<(), Error> {
    let client = Client::new(&args.server)?;
    let answer = client.get(&args.place.path(&format!("experiments/{}/results", args.experiment))).await?;
    let header = ["METRIC", "ROLE", "ARM", "UNITS", "CONTROL", "ARM MEAN", "LIFT", "FROM", "TO", "P-VALUE", "VERDICT"];
    output::print(args.output, &answer, &header, &rows(&answer));
    if args.output == Output::Table {
        for warning in answer["warnings"].as_array().into_iter().flatten() {
            eprintln!("note: {}", warning.as_str().unwrap_or_default());
        }
    }
    Ok(())
}

fn rows(answer: &Value) -> Vec<Vec<String>> {
    let mut rows = Vec::new();
    for metric in answer["metrics"].as_array().into_iter().flatten() {
        for it in metric["comparisons"].as_array().into_iter().flatten() {
            let comparison = &it["comparison"];
            let lift = &comparison["relative"];
            rows.push(vec![
                text(metric, "metric"),
                text(metric, "role"),
                text(it, "arm"),
                text(&comparison["treatment"], "n"),
                number(&comparison["control"]["mean"]),
                number(&comparison["treatment"]["mean"]),
                percent(&lift["value"]),
                percent(&lift["lower"]),
                percent(&lift["upper"]),
                comparison["p_value"].as_f64().map_or_else(|| "-".to_owned(), |p| format!("{p:.3e}")),
                text(comparison, "verdict"),
            ]);
        }
    }
    rows
}
