//! `liftgate results`: an experiment's readout.

use std::io::Write;

use clap::{Args, ValueEnum};
use serde_json::Value;

use super::{
    Error, analyze,
    client::{Client, PlaceArgs, ServerArgs},
    output::{self, Output, number, percent, text},
};

/// Which experiment, and what of it.
#[derive(Debug, Args)]
pub struct ResultsArgs {
    /// The experiment's key.
    experiment: String,
    #[command(flatten)]
    place: PlaceArgs,
    #[command(flatten)]
    server: ServerArgs,
    /// Which units count: those whose window is closed, or all (which decides nothing).
    #[arg(long, value_parser = ["matured", "all"], default_value = "matured")]
    units: String,
    /// Whether variance is reduced by what units did before, when the plan has a lookback.
    #[arg(long, value_parser = ["on", "off"])]
    cuped: Option<String>,
    /// Show the effect by these attributes of the first exposure, and by `exposure_day`.
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    slices: Vec<String>,
    /// Post-stratify by an attribute.
    #[arg(long, value_name = "NAME")]
    stratify: Option<String>,
    /// Also look so many times back, evenly from the start to now.
    #[arg(long, value_name = "LOOKS")]
    series: Option<u32>,
    /// The form of the output; `arrow` and `parquet` are written to standard output as they are.
    #[arg(long, value_enum, default_value_t)]
    output: Form,
}

/// The form of the output.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, ValueEnum)]
enum Form {
    /// Columns for people.
    #[default]
    Table,
    /// The whole readout.
    Json,
    /// A row a comparison.
    Csv,
    /// The same rows as an Arrow stream.
    Arrow,
    /// The same rows as a Parquet file.
    Parquet,
}

pub async fn run(args: ResultsArgs) -> Result<(), Error> {
    let client = Client::new(&args.server)?;
    let path = path(&args);
    let format = match args.output {
        Form::Table | Form::Json => {
            let answer = client.get(&path).await?;
            show(args.output, &answer);
            return Ok(());
        }
        Form::Csv => "csv",
        Form::Arrow => "arrow",
        Form::Parquet => "parquet",
    };
    let bytes = client.get_bytes(&format!("{path}&format={format}")).await?;
    let written = std::io::stdout().lock().write_all(&bytes);
    written.map_err(|source| Error::File { path: "standard output".to_owned(), source })
}

/// The path with its query.
fn path(args: &ResultsArgs) -> String {
    let mut query = vec![("units", args.units.clone())];
    query.extend(args.cuped.clone().map(|cuped| ("cuped", cuped)));
    if !args.slices.is_empty() {
        query.push(("slices", args.slices.join(",")));
    }
    query.extend(args.stratify.clone().map(|name| ("stratify", name)));
    query.extend(args.series.map(|looks| ("series", looks.to_string())));
    let pairs: Vec<String> = query.iter().map(|(name, value)| format!("{name}={}", url_encoded(value))).collect();
    args.place.path(&format!("experiments/{}/results?{}", args.experiment, pairs.join("&")))
}

/// Percent-encoding of everything but unreserved characters and commas (RFC 3986).
fn url_encoded(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~' | b',') {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    encoded
}

const HEADER: [&str; 13] =
    ["METRIC", "ROLE", "SLICE", "ARM", "CONTROL N", "N", "CONTROL", "MEAN", "LIFT", "FROM", "TO", "P-VALUE", "VERDICT"];

fn show(form: Form, answer: &Value) {
    if form == Form::Json {
        output::print(Output::Json, answer, &HEADER, &[]);
        return;
    }
    output::print(Output::Table, answer, &HEADER, &rows(answer));
    for look in list(&answer["series"]) {
        for found in list(&look["metrics"]) {
            println!(
                "{}  {} in {}: {} and {} units, lift {} ({} to {}), p {}, {}",
                text(look, "as_of"),
                text(found, "metric"),
                text(found, "arm"),
                text(found, "n_control"),
                text(found, "n_treatment"),
                percent(&found["relative"]["value"]),
                percent(&found["relative"]["lower"]),
                percent(&found["relative"]["upper"]),
                p_value(&found["p_value"]),
                text(found, "verdict"),
            );
        }
    }
    for decision in list(&answer["decisions"]) {
        println!("decision for {}: {}", text(decision, "arm"), text(decision, "verdict"));
        for reason in list(&decision["reasons"]) {
            println!("  {}", reason.as_str().unwrap_or_default());
        }
    }
    for warning in list(&answer["warnings"]) {
        eprintln!("note: {}", warning.as_str().unwrap_or_default());
    }
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn p_value(value: &Value) -> String {
    value.as_f64().map_or_else(|| "-".to_owned(), analyze::p_value)
}

fn rows(answer: &Value) -> Vec<Vec<String>> {
    let mut rows = Vec::new();
    for metric in list(&answer["metrics"]) {
        for it in list(&metric["comparisons"]) {
            rows.push(row(metric, String::new(), text(it, "arm"), &it["comparison"]));
        }
        for slice in list(&metric["slices"]["slices"]) {
            for it in list(&slice["comparisons"]) {
                rows.push(row(metric, text(slice, "slice"), text(it, "arm"), it));
            }
        }
    }
    rows
}

fn row(metric: &Value, slice: String, arm: String, comparison: &Value) -> Vec<String> {
    let lift = &comparison["relative"];
    let mut verdict = text(comparison, "verdict");
    if let Some(margin) = comparison["margin"]["verdict"].as_str() {
        verdict.push_str(&format!(", margin: {margin}"));
    }
    vec![
        text(metric, "metric"),
        text(metric, "role"),
        slice,
        arm,
        text(&comparison["control"], "n"),
        text(&comparison["treatment"], "n"),
        number(&comparison["control"]["mean"]),
        number(&comparison["treatment"]["mean"]),
        percent(&lift["value"]),
        percent(&lift["lower"]),
        percent(&lift["upper"]),
        p_value(&comparison["p_value"]),
        verdict,
    ]
}
