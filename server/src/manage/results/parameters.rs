//! What a readout is asked: which units, by what, how often back in time, and in which form.

use axum::{
    extract::{FromRequestParts, Query},
    http::{HeaderMap, header, request::Parts},
};
use liftgate_domain::{Dimension, RowRule};
use serde::Deserialize;

use crate::{app::App, problem::ApiError};

/// Dimensions of one readout.
const DIMENSIONS_MAX: usize = 10;
/// Looks back in time of one readout; each is a question of its own.
const SERIES_MAX: u32 = 100;
/// The name of the dimension that is no attribute.
const EXPOSURE_DAY: &str = "exposure_day";

/// The form of the answer.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Form {
    /// The whole readout.
    #[default]
    Json,
    /// A row a comparison.
    Csv,
    /// The same rows as an Arrow stream.
    Arrow,
    /// The same rows as a Parquet file.
    Parquet,
}

impl Form {
    const ALL: [Self; 4] = [Self::Json, Self::Csv, Self::Arrow, Self::Parquet];

    /// Its media type.
    pub fn media_type(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::Csv => "text/csv; charset=utf-8",
            Self::Arrow => "application/vnd.apache.arrow.stream",
            Self::Parquet => "application/vnd.apache.parquet",
        }
    }

    /// The first known form that the caller accepts; JSON otherwise.
    fn accepted(headers: &HeaderMap) -> Self {
        let accept = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let mut wanted = accept.split(',').map(|part| part.split(';').next().unwrap_or_default().trim());
        let of = |name: &str| {
            Self::ALL.into_iter().find(|form| form.media_type().split(';').next().unwrap_or_default() == name)
        };
        wanted.find_map(of).unwrap_or_default()
    }
}

/// Which units count.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Deserialize, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Units {
    /// Those whose window is closed: the only ones that decide anything.
    #[default]
    Matured,
    /// All, also those whose values may still grow.
    All,
}

impl Units {
    /// The rule of the question.
    pub fn rule(self) -> RowRule {
        match self {
            Self::Matured => RowRule::Decision,
            Self::All => RowRule::Readout,
        }
    }
}

/// Whether covariates are used.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Switch {
    /// They are, when the plan has a lookback.
    On,
    /// They are not.
    Off,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    format: Option<Form>,
    #[serde(default)]
    units: Units,
    cuped: Option<Switch>,
    slices: Option<String>,
    stratify: Option<String>,
    #[serde(default)]
    series: u32,
}

/// The query of a readout.
#[derive(Clone, Debug, PartialEq)]
pub struct Parameters {
    /// The form of the answer.
    pub form: Form,
    /// Which units count.
    pub units: Units,
    /// Whether covariates are used.
    pub with_covariates: bool,
    /// Slices to show.
    pub slices: Vec<Dimension>,
    /// The dimension to post-stratify by.
    pub stratify: Option<Dimension>,
    /// Looks back in time, evenly spread from the start on.
    pub series: u32,
}

impl FromRequestParts<App> for Parameters {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, ApiError> {
        let raw = Query::<Raw>::from_request_parts(parts, app).await;
        let Query(raw) = raw.map_err(|error| {
            ApiError::invalid_field("the query", "query", error.body_text()).next(
                "parameters are `units=matured|all`, `cuped=on|off`, `slices=country,exposure_day`, `stratify=country`, \
                 `series=20` and `format=json|csv|arrow|parquet`",
            )
        })?;
        Self::read(raw, Form::accepted(&parts.headers))
    }
}

impl Parameters {
    fn read(raw: Raw, accepted: Form) -> Result<Self, ApiError> {
        let mut slices = Vec::new();
        for name in raw.slices.as_deref().unwrap_or_default().split(',').filter(|name| !name.trim().is_empty()) {
            let dimension = dimension(name);
            if !slices.contains(&dimension) {
                slices.push(dimension);
            }
        }
        if slices.len() > DIMENSIONS_MAX {
            let message = format!("names {} dimensions; at most {DIMENSIONS_MAX} can be shown", slices.len());
            return Err(ApiError::invalid_field("the query", "slices", message));
        }
        if raw.series > SERIES_MAX {
            let message = format!("at most {SERIES_MAX} looks can be shown");
            return Err(ApiError::invalid_field("the query", "series", message));
        }
        let stratify = raw.stratify.filter(|name| !name.trim().is_empty()).map(|name| dimension(&name));
        if stratify == Some(Dimension::ExposureDay) {
            // A day of exposure says when a unit came, which the treatment may have moved.
            return Err(ApiError::invalid_field("the query", "stratify", "takes an attribute, such as `country`"));
        }
        Ok(Self {
            form: raw.format.unwrap_or(accepted),
            units: raw.units,
            with_covariates: raw.cuped != Some(Switch::Off),
            slices,
            stratify,
            series: raw.series,
        })
    }
}

fn dimension(name: &str) -> Dimension {
    match name.trim() {
        EXPOSURE_DAY => Dimension::ExposureDay,
        name => Dimension::Attribute(name.to_owned()),
    }
}

/// A dimension as it is asked for.
pub fn name_of(dimension: &Dimension) -> &str {
    match dimension {
        Dimension::ExposureDay => EXPOSURE_DAY,
        Dimension::Attribute(name) => name,
    }
}
