//! `liftgate power`: how many units and days an experiment needs, and what one of a given size can show. Needs no server.

use std::process::ExitCode;

use liftgate_stats::{
    analysis::FieldError,
    power::{AtSize, Needed, PowerAnswer, PowerRequest, UnitsRange, power},
};
use serde_json::Value;

use super::{
    Error,
    documents::{self, Answerer, DocumentArgs, SchemaOf},
};

const HEADER: [&str; 8] =
    ["NAME", "UNITS PER ARM", "RANGE", "UNITS IN ALL", "DAYS", "AT SIZE", "POWER", "DETECTABLE EFFECT"];

struct Power;

/// Answers the questions of a file.
pub fn run(args: &DocumentArgs) -> Result<ExitCode, Error> {
    documents::run(args, &Power)
}

impl Answerer for Power {
    type Answer = PowerAnswer;

    fn answer(&self, request: Value) -> Result<PowerAnswer, FieldError> {
        let request: PowerRequest = liftgate_stats::analysis::typed(request)?;
        power(&request).map_err(|error| {
            // The field stands in front already.
            let text = error.to_string();
            let message = text.strip_prefix(&format!("`{}` ", error.field())).unwrap_or(&text);
            FieldError::new(error.field(), message)
        })
    }

    fn schema(&self, of: SchemaOf) -> Value {
        match of {
            SchemaOf::Request => liftgate_stats::power::request_schema(),
            SchemaOf::Answer => liftgate_stats::power::answer_schema(),
        }
    }

    fn header(&self) -> &'static [&'static str] {
        &HEADER
    }

    fn rows(&self, answer: &PowerAnswer) -> Vec<Vec<String>> {
        let mut rows =
            vec![row(answer.name.clone().unwrap_or_default(), answer.needed.as_ref(), Some(&answer.at_size))];
        if let Some(rest) = &answer.still_needed {
            let name = format!("{} (as it looks now)", answer.name.as_deref().unwrap_or_default());
            rows.push(row(name.trim_start().to_owned(), Some(&rest.needed), None));
        }
        rows
    }
}

fn row(name: String, needed: Option<&Needed>, at: Option<&AtSize>) -> Vec<String> {
    let dash = || "-".to_owned();
    let range = |range: &UnitsRange| {
        let high = range.high.map_or_else(|| "no bound".to_owned(), |high| high.to_string());
        format!("{} to {high}", range.low)
    };
    let days = needed.and_then(|needed| needed.days).map(|days| {
        let high = days.high.map_or_else(|| "no bound".to_owned(), |high| high.to_string());
        format!("{} to {high}", days.low)
    });
    let detectable = at.and_then(|at| at.detectable).map(|effect| {
        let relative = effect.relative.map_or_else(String::new, |relative| format!(" ({:.2} %)", relative * 100.0));
        format!("{:.6}{relative}", effect.absolute)
    });
    vec![
        name,
        needed.map_or_else(dash, |needed| needed.treatment.expected.to_string()),
        needed.map_or_else(dash, |needed| range(&needed.treatment)),
        needed.map_or_else(dash, |needed| needed.total.expected.to_string()),
        days.unwrap_or_else(dash),
        at.map_or_else(dash, |at| at.treatment_units.to_string()),
        at.and_then(|at| at.power).map_or_else(dash, |power| format!("{power:.4}")),
        detectable.unwrap_or_else(dash),
    ]
}
